//! SQL catalogs (SQLite, PostgreSQL) in the tables that PyIceberg and the reference implementation's JDBC catalog share.

use std::fmt;
use std::sync::{Arc, Once};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use iceberg::spec::TableMetadata;
use sqlx::any::{AnyPoolOptions, AnyRow};
use sqlx::{AnyPool, Row};

use super::{Ambient, Catalog, LoadedTable, Store, Swap, TableChange, metadata, similar};
use crate::error::{Error, Result};
use crate::model::{CatalogSettings, TableName};

const CREATE: [&str; 2] = [
    "CREATE TABLE IF NOT EXISTS iceberg_tables (catalog_name VARCHAR(255) NOT NULL, table_namespace VARCHAR(255) NOT \
     NULL, table_name VARCHAR(255) NOT NULL, metadata_location VARCHAR(1000), previous_metadata_location VARCHAR(1000), \
     iceberg_type VARCHAR(5), PRIMARY KEY (catalog_name, table_namespace, table_name))",
    "CREATE TABLE IF NOT EXISTS iceberg_namespace_properties (catalog_name VARCHAR(255) NOT NULL, namespace \
     VARCHAR(255) NOT NULL, property_key VARCHAR(255) NOT NULL, property_value VARCHAR(1000) NOT NULL, PRIMARY KEY \
     (catalog_name, namespace, property_key))",
];

/// A SQL catalog.
pub struct SqlCatalog {
    pool: AnyPool,
    name: String,
    shown: String,
    warehouse: Option<String>,
    store: Arc<Store>,
    ambient: Arc<Ambient>,
    has_type: bool,
}

impl fmt::Debug for SqlCatalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SqlCatalog({})", self.shown)
    }
}

impl fmt::Display for SqlCatalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.name, self.shown)
    }
}

impl SqlCatalog {
    /// Connects to a catalog's database. `create` makes database file and tables when they are missing (fixtures);
    /// `patience` is how long the server may take to give a connection, now and later.
    ///
    /// # Errors
    /// `InvalidInput` when there is no such database or it holds several catalogs and none was named; `Unavailable`
    /// when the server does not answer.
    pub async fn connect(
        settings: &CatalogSettings,
        store: Arc<Store>,
        ambient: Arc<Ambient>,
        create: bool,
        patience: Duration,
    ) -> Result<Self> {
        static DRIVERS: Once = Once::new();
        DRIVERS.call_once(sqlx::any::install_default_drivers);
        let shown = settings.public_uri();
        let url = database_url(settings, create)?;
        let pool = AnyPoolOptions::new()
            .max_connections(8)
            .acquire_timeout(patience)
            .connect(&url)
            .await
            .map_err(|e| cannot_connect(&shown, e))?;
        if create {
            for statement in CREATE {
                sqlx::query(statement).execute(&pool).await.map_err(|e| broken(&shown, e))?;
            }
        }
        let name = catalog_name(&pool, settings, &shown, create).await?;
        // Older databases lack the column.
        let has_type =
            sqlx::query("SELECT iceberg_type FROM iceberg_tables WHERE 1 = 0").fetch_all(&pool).await.is_ok();
        let warehouse = settings.warehouse.clone();
        Ok(Self { pool, name, shown, warehouse, store, ambient, has_type })
    }

    async fn pointer(&self, name: &TableName) -> Result<Option<String>> {
        let row = sqlx::query(
            "SELECT metadata_location FROM iceberg_tables WHERE catalog_name = $1 AND table_namespace = $2 AND \
             table_name = $3",
        )
        .bind(&self.name)
        .bind(name.namespace_text())
        .bind(&name.table)
        .fetch_optional(&self.pool)
        .await
        .map_err(|e| broken(&self.shown, e))?;
        Ok(row.and_then(|row: AnyRow| row.try_get::<Option<String>, _>(0).ok().flatten()))
    }

    async fn swap(&self, name: &TableName, from: &str, to: &str) -> std::result::Result<u64, sqlx::Error> {
        let done = sqlx::query(
            "UPDATE iceberg_tables SET metadata_location = $1, previous_metadata_location = $2 WHERE catalog_name = $3 \
             AND table_namespace = $4 AND table_name = $5 AND metadata_location = $6",
        )
        .bind(to)
        .bind(from)
        .bind(&self.name)
        .bind(name.namespace_text())
        .bind(&name.table)
        .bind(from)
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected())
    }
}

#[async_trait]
impl Catalog for SqlCatalog {
    async fn list_tables(&self) -> Result<Vec<TableName>> {
        let tables_only = if self.has_type { " AND (iceberg_type IS NULL OR iceberg_type <> 'VIEW')" } else { "" };
        let sql =
            format!("SELECT table_namespace, table_name FROM iceberg_tables WHERE catalog_name = $1{tables_only}");
        let rows =
            sqlx::query(&sql).bind(&self.name).fetch_all(&self.pool).await.map_err(|e| broken(&self.shown, e))?;
        let mut names = Vec::with_capacity(rows.len());
        for row in rows {
            let (namespace, table): (String, String) = (
                row.try_get(0).map_err(|e| broken(&self.shown, e))?,
                row.try_get(1).map_err(|e| broken(&self.shown, e))?,
            );
            names.push(TableName::new(namespace.split('.'), table));
        }
        names.sort();
        Ok(names)
    }

    async fn load_table(&self, name: &TableName) -> Result<LoadedTable> {
        match self.pointer(name).await? {
            Some(location) => LoadedTable::read(&self.store, name, location).await,
            None => Err(similar::unknown_table(name, &self.list_tables().await.unwrap_or_default(), &self.shown)),
        }
    }

    async fn create_table(&self, name: &TableName, table: TableMetadata) -> Result<LoadedTable> {
        if self.pointer(name).await?.is_some() {
            return Err(Error::invalid(format!("{self} holds a table {name} already"))
                .hint("choose another name, or another folder"));
        }
        let uuid = self.ambient.uuid();
        let location = format!("{}/00000-{uuid}.metadata.json", metadata::folder(&table));
        let document = serde_json::to_value(&table)
            .map_err(|e| Error::internal("table metadata can't be written as JSON").caused_by(e))?;
        self.store.write(&location, Bytes::from(metadata::to_bytes(&document, false)?)).await?;
        let known = sqlx::query(
            "INSERT INTO iceberg_namespace_properties (catalog_name, namespace, property_key, property_value) VALUES \
             ($1, $2, 'exists', 'true') ON CONFLICT DO NOTHING",
        );
        known
            .bind(&self.name)
            .bind(name.namespace_text())
            .execute(&self.pool)
            .await
            .map_err(|e| broken(&self.shown, e))?;
        let sql = if self.has_type {
            "INSERT INTO iceberg_tables (catalog_name, table_namespace, table_name, metadata_location, iceberg_type) \
             VALUES ($1, $2, $3, $4, 'TABLE')"
        } else {
            "INSERT INTO iceberg_tables (catalog_name, table_namespace, table_name, metadata_location) VALUES ($1, $2, \
             $3, $4)"
        };
        sqlx::query(sql)
            .bind(&self.name)
            .bind(name.namespace_text())
            .bind(&name.table)
            .bind(&location)
            .execute(&self.pool)
            .await
            .map_err(|e| broken(&self.shown, e))?;
        LoadedTable::read(&self.store, name, location).await
    }

    async fn commit(&self, base: &LoadedTable, change: &TableChange) -> Result<Swap> {
        if let Err(reason) = metadata::check(&base.metadata, change) {
            return Ok(Swap::Rejected { reason });
        }
        let document = metadata::apply(&base.document, change, &base.metadata_location, self.ambient.now_ms())?;
        let location = metadata::next_location(&base.metadata, &base.metadata_location, self.ambient.uuid());
        let bytes = metadata::to_bytes(&document, metadata::wants_gzip(&base.metadata))?;
        self.store.write(&location, Bytes::from(bytes)).await?;
        let reason = match self.swap(&base.name, &base.metadata_location, &location).await {
            Ok(1) => return Ok(Swap::Committed { metadata_location: location }),
            Ok(_) => "the table's pointer has moved".to_owned(),
            // SQLite could not get its lock: nothing was written.
            Err(sqlx::Error::Database(e)) if e.message().contains("locked") => e.message().to_owned(),
            Err(sqlx::Error::PoolTimedOut) => "no connection to the catalog was free".to_owned(),
            // The statement may have reached the server: only fresh metadata can tell.
            Err(error) => return Ok(Swap::Unknown { reason: error.to_string() }),
        };
        if let Err(error) = base.store.delete(&location).await {
            tracing::warn!(file = location, %error, "a rejected metadata file could not be removed");
        }
        Ok(Swap::Rejected { reason })
    }

    fn warehouse(&self) -> Option<&str> {
        self.warehouse.as_deref()
    }

    fn default_location(&self, name: &TableName) -> Result<String> {
        super::default_location(self.warehouse.as_deref(), name)
    }
}

/// The name of the catalog inside the database.
async fn catalog_name(pool: &AnyPool, settings: &CatalogSettings, shown: &str, create: bool) -> Result<String> {
    if !settings.name.is_empty() && create {
        return Ok(settings.name.clone());
    }
    let rows = sqlx::query(
        "SELECT DISTINCT catalog_name FROM iceberg_tables UNION SELECT DISTINCT catalog_name FROM \
         iceberg_namespace_properties",
    )
    .fetch_all(pool)
    .await
    .map_err(|e| broken(shown, e))?;
    let mut names: Vec<String> = rows.iter().filter_map(|row| row.try_get(0).ok()).collect();
    names.sort();
    if names.contains(&settings.name) {
        return Ok(settings.name.clone());
    }
    match (settings.name.is_empty(), names.as_slice()) {
        (_, [only]) => Ok(only.clone()),
        (_, []) if create || !settings.name.is_empty() => {
            Ok(if settings.name.is_empty() { "default".to_owned() } else { settings.name.clone() })
        }
        (_, []) => Err(Error::invalid(format!("the database {shown} holds no Iceberg catalog"))
            .hint("check the URI; a catalog appears with its first namespace")),
        (_, several) => {
            Err(Error::invalid(format!("the database {shown} holds several catalogs: {}", several.join(", ")))
                .hint("choose one with --catalog-name"))
        }
    }
}

/// sqlx's form of the URI.
fn database_url(settings: &CatalogSettings, create: bool) -> Result<String> {
    let uri = &settings.uri;
    if let Some(rest) = uri.strip_prefix("sqlite:") {
        // Three slashes and an absolute path are the contract; SQLAlchemy's four mean the same place.
        let path = format!("/{}", rest.trim_start_matches('/'));
        if !create && !std::path::Path::new(&path).is_file() {
            return Err(Error::invalid(format!("there is no catalog database {path}"))
                .hint("a SQLite catalog is written sqlite:///absolute/path/catalog.db"));
        }
        let mode = if create { "rwc" } else { "rw" };
        let encoded = path.replace('%', "%25").replace('?', "%3F").replace('#', "%23");
        return Ok(format!("sqlite://{encoded}?mode={mode}"));
    }
    let rest = uri.split_once("://").map(|(_, rest)| rest).unwrap_or_default();
    Ok(format!("postgresql://{rest}"))
}

fn cannot_connect(shown: &str, error: sqlx::Error) -> Error {
    let text = error.to_string();
    if text.contains("password authentication") || text.contains("does not exist") || text.contains("no pg_hba.conf") {
        return Error::invalid(format!("the catalog database {shown} refused the connection"))
            .hint("check user, password and database name")
            .caused_by(error);
    }
    if text.contains("not a database") {
        return Error::invalid(format!("{shown} is not a SQLite database")).caused_by(error);
    }
    Error::unavailable(format!("the catalog database {shown} does not answer"))
        .hint("check host and port, and that the server runs; then run again")
        .caused_by(error)
}

fn broken(shown: &str, error: sqlx::Error) -> Error {
    let text = error.to_string();
    if text.contains("no such table") || (text.contains("relation") && text.contains("does not exist")) {
        return Error::invalid(format!("the database {shown} holds no Iceberg catalog"))
            .hint("check the URI: this database has no table iceberg_tables")
            .caused_by(error);
    }
    if text.contains("not a database") || text.contains("malformed") {
        return Error::corrupt(format!("{shown} is not a readable SQLite database")).caused_by(error);
    }
    Error::unavailable(format!("the catalog database {shown} failed"))
        .hint("check that the database is up, then run again")
        .caused_by(error)
}
