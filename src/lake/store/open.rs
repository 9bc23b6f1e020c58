//! Opens the client of a store from Iceberg's property names.

use std::sync::Arc;
use std::time::Duration;

use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::{ClientOptions, ObjectStore, RetryConfig};

use super::{Location, Props, Scheme};
use crate::error::{Error, Result};

/// How long one request may be retried before the run gives up on it.
const RETRY_FOR: Duration = Duration::from_secs(30);

/// An opened store.
#[derive(Clone)]
pub(super) struct Client {
    pub(super) files: Arc<dyn ObjectStore>,
    /// What S3 can do beyond that.
    #[cfg(feature = "s3")]
    pub(super) s3: Option<Arc<super::s3::Direct>>,
}

impl Client {
    fn of(files: Arc<dyn ObjectStore>) -> Self {
        Self {
            files,
            #[cfg(feature = "s3")]
            s3: None,
        }
    }
}

/// Opens a client for the location's scheme and authority.
pub(super) fn open(location: &Location, props: &Props) -> Result<Client> {
    match location.scheme {
        Scheme::File => Ok(Client::of(Arc::new(LocalFileSystem::new()))),
        Scheme::Memory => Ok(Client::of(Arc::new(InMemory::new()))),
        Scheme::S3 => s3(location, props),
        Scheme::Gcs => gcs(location, props).map(Client::of),
        Scheme::Azure => azure(location, props).map(Client::of),
    }
}

#[allow(dead_code, reason = "unused when no cloud is built in")]
fn retry() -> RetryConfig {
    RetryConfig { max_retries: 6, retry_timeout: RETRY_FOR, ..RetryConfig::default() }
}

#[allow(dead_code, reason = "unused when no cloud is built in")]
fn client_options() -> ClientOptions {
    ClientOptions::new().with_connect_timeout(Duration::from_secs(5)).with_timeout(Duration::from_secs(300))
}

#[allow(dead_code, reason = "unused when no cloud is built in")]
fn cannot_open(location: &Location, error: object_store::Error) -> Error {
    Error::invalid(format!("the storage configuration for {} is incomplete", location.canonical()))
        .hint("set the storage properties with --prop, in icewright.toml or in .pyiceberg.yaml")
        .caused_by(error)
}

#[cfg(feature = "s3")]
fn s3(location: &Location, props: &Props) -> Result<Client> {
    use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};

    let mut builder = AmazonS3Builder::from_env()
        .with_bucket_name(&location.authority)
        .with_retry(retry())
        .with_client_options(client_options());
    if let Some(endpoint) = props.get("s3.endpoint") {
        builder = builder.with_endpoint(endpoint).with_allow_http(endpoint.starts_with("http://"));
    }
    // Iceberg's FileIOs address a custom endpoint by path, Amazon itself by host, unless told otherwise.
    let path_style = match props.get("s3.path-style-access").or_else(|| props.get("s3.force-virtual-addressing")) {
        Some(text) if props.contains_key("s3.path-style-access") => text == "true",
        Some(text) => text != "true",
        None => props.contains_key("s3.endpoint"),
    };
    builder = builder.with_virtual_hosted_style_request(!path_style);
    let region = props.get("s3.region").or_else(|| props.get("client.region"));
    if let Some(region) = region {
        builder = builder.with_region(region);
    } else if props.contains_key("s3.endpoint") {
        builder = builder.with_region("us-east-1");
    }
    if let Some(key) = props.get("s3.access-key-id").or_else(|| props.get("client.access-key-id")) {
        builder = builder.with_access_key_id(key);
    }
    if let Some(secret) = props.get("s3.secret-access-key").or_else(|| props.get("client.secret-access-key")) {
        builder = builder.with_secret_access_key(secret);
    }
    if let Some(token) = props.get("s3.session-token").or_else(|| props.get("client.session-token")) {
        builder = builder.with_token(token);
    }
    let anonymous = props.get("s3.anonymous").is_some_and(|text| text == "true");
    if anonymous {
        builder = builder.with_skip_signature(true);
    }
    let region = builder.get_config_value(&AmazonS3ConfigKey::Region).unwrap_or_else(|| "us-east-1".to_owned());
    let client = Arc::new(builder.build().map_err(|e| cannot_open(location, e))?);
    let direct = (!anonymous).then(|| super::s3::Direct::new(client.clone(), region)).transpose()?;
    Ok(Client { files: client, s3: direct.map(Arc::new) })
}

#[cfg(feature = "gcs")]
fn gcs(location: &Location, props: &Props) -> Result<Arc<dyn ObjectStore>> {
    use object_store::gcp::GoogleCloudStorageBuilder;

    let mut builder = GoogleCloudStorageBuilder::from_env()
        .with_bucket_name(&location.authority)
        .with_retry(retry())
        .with_client_options(client_options());
    if let Some(key) = props.get("gcs.service-account-key").or_else(|| props.get("gcs.credentials-json")) {
        builder = builder.with_service_account_key(key);
    }
    if let Some(path) = props.get("gcs.service-account-path") {
        builder = builder.with_service_account_path(path);
    }
    let client = builder.build().map_err(|e| cannot_open(location, e))?;
    Ok(Arc::new(client))
}

#[cfg(feature = "azure")]
fn azure(location: &Location, props: &Props) -> Result<Arc<dyn ObjectStore>> {
    use object_store::azure::MicrosoftAzureBuilder;

    let (container, host) = location.authority.split_once('@').unwrap_or((&location.authority, ""));
    let account = host.split('.').next().unwrap_or_default();
    let mut builder = MicrosoftAzureBuilder::from_env()
        .with_container_name(container)
        .with_retry(retry())
        .with_client_options(client_options());
    if let Some(name) = props.get("adls.account-name").map(String::as_str).or((!account.is_empty()).then_some(account))
    {
        builder = builder.with_account(name);
    }
    if let Some(key) = props.get("adls.account-key") {
        builder = builder.with_access_key(key);
    }
    if let Some(endpoint) = props.get("adls.blob-storage-authority") {
        builder = builder.with_endpoint(format!("https://{endpoint}"));
    }
    let client = builder.build().map_err(|e| cannot_open(location, e))?;
    Ok(Arc::new(client))
}

#[cfg(not(feature = "s3"))]
fn s3(location: &Location, _: &Props) -> Result<Client> {
    Err(not_built(location, "s3"))
}

#[cfg(not(feature = "gcs"))]
fn gcs(location: &Location, _: &Props) -> Result<Arc<dyn ObjectStore>> {
    Err(not_built(location, "gcs"))
}

#[cfg(not(feature = "azure"))]
fn azure(location: &Location, _: &Props) -> Result<Arc<dyn ObjectStore>> {
    Err(not_built(location, "azure"))
}

#[allow(dead_code, reason = "unused when every cloud is built in")]
fn not_built(location: &Location, feature: &str) -> Error {
    Error::unsupported(format!("this build can't reach {}", location.canonical()))
        .hint(format!("build with --features {feature}"))
}
