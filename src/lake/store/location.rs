//! Locations: URIs parsed once, with aliases made equal.

use object_store::path::Path;

use crate::error::{Error, Result};

/// The kind of store behind a location.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// This machine's file system.
    File,
    /// Process memory (tests).
    Memory,
    /// Amazon S3 and compatibles: `s3`, `s3a`, `s3n`.
    S3,
    /// Google Cloud Storage: `gs`, `gcs`.
    Gcs,
    /// Azure: `abfs`, `abfss`, `wasb`, `wasbs`, `az`.
    Azure,
}

/// A parsed location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The kind of store.
    pub scheme: Scheme,
    /// The scheme as written, so that listings answer in the same words.
    pub written_scheme: String,
    /// Bucket, or `container@account`; empty for local files.
    pub authority: String,
    /// The path below the authority, without a leading slash, not percent-decoded.
    pub path: String,
}

impl Location {
    /// Parses `s3://bucket/key`, `file:///path`, `file:/path`, `/path`.
    ///
    /// # Errors
    /// `InvalidInput` when it is no location, `Unsupported` when no store has its scheme.
    pub fn parse(text: &str) -> Result<Self> {
        if let Some(path) = text.strip_prefix('/') {
            return Ok(Self::file("", path));
        }
        let Some((scheme, rest)) = text.split_once(':') else {
            return Err(Error::invalid(format!("{text:?} is not a location"))
                .hint("write an absolute path or a URI such as s3://bucket/path"));
        };
        let kind = match scheme.to_ascii_lowercase().as_str() {
            "file" => {
                // file:///a, file:/a and file://localhost/a are the same file.
                let path = rest.strip_prefix("//").unwrap_or(rest);
                let path = path.strip_prefix("localhost").unwrap_or(path);
                return match path.strip_prefix('/') {
                    Some(path) => Ok(Self::file(scheme, path)),
                    None => Err(Error::invalid(format!("{text:?} is not an absolute file location"))
                        .hint("write three slashes: file:///absolute/path")),
                };
            }
            "memory" => Scheme::Memory,
            "s3" | "s3a" | "s3n" => Scheme::S3,
            "gs" | "gcs" => Scheme::Gcs,
            "abfs" | "abfss" | "wasb" | "wasbs" | "az" | "azure" => Scheme::Azure,
            other => {
                return Err(Error::unsupported(format!("no storage for {other:?} locations ({text})"))
                    .hint("icewright reads file, s3, gs and abfs locations"));
            }
        };
        let rest = rest.strip_prefix("//").unwrap_or(rest);
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        if authority.is_empty() && kind != Scheme::Memory {
            return Err(Error::invalid(format!("{text:?} names no bucket")));
        }
        Ok(Self {
            scheme: kind,
            written_scheme: scheme.to_owned(),
            authority: authority.to_owned(),
            path: path.trim_end_matches('/').to_owned(),
        })
    }

    fn file(written_scheme: &str, path: &str) -> Self {
        Self {
            scheme: Scheme::File,
            written_scheme: written_scheme.to_owned(),
            authority: String::new(),
            path: path.split('/').filter(|segment| !segment.is_empty()).collect::<Vec<_>>().join("/"),
        }
    }

    /// One client serves all locations with the same key.
    pub(super) fn client_key(&self) -> String {
        format!("{:?}://{}", self.scheme, self.authority)
    }

    /// The path as `object_store` wants it. Keys are taken as they are; only local paths go through its own encoding.
    pub(super) fn object_path(&self) -> Result<Path> {
        let made = match self.scheme {
            Scheme::File => Path::from_absolute_path(format!("/{}", self.path)),
            Scheme::Memory | Scheme::S3 | Scheme::Gcs | Scheme::Azure => Path::parse(&self.path),
        };
        made.map_err(|e| Error::invalid(format!("{:?} is not a path in a store", self.path)).caused_by(e))
    }

    /// The full location of another path in the same store, in the words of this one.
    pub(super) fn with_object_path(&self, path: &Path) -> String {
        if self.scheme == Scheme::File {
            let absolute = format!("/{path}");
            return match self.written_scheme.as_str() {
                "" => absolute,
                scheme => format!("{scheme}://{absolute}"),
            };
        }
        format!("{}://{}/{path}", self.written_scheme, self.authority)
    }

    /// The canonical text: equal for all ways to write the same place. For comparing, not for metadata.
    pub fn canonical(&self) -> String {
        let scheme = match self.scheme {
            Scheme::File => "file",
            Scheme::Memory => "memory",
            Scheme::S3 => "s3",
            Scheme::Gcs => "gs",
            Scheme::Azure => "abfs",
        };
        // Azure's two endpoints, blob and dfs, are doors to the same container.
        let authority = match self.scheme {
            Scheme::Azure => self.authority.replacen(".blob.", ".dfs.", 1),
            _ => self.authority.clone(),
        };
        format!("{scheme}://{authority}/{}", self.path)
    }

    /// Whether the path has a segment `.` or `..`: such a path may lead anywhere.
    pub fn has_dots(&self) -> bool {
        self.path.split('/').any(|segment| segment == "." || segment == "..")
    }
}

/// The text that a file is matched by: that of [`Location::canonical`], with doubled slashes taken as one. Two locations
/// of the same file have the same; in doubt two files are taken as one, which protects both.
///
/// # Errors
/// As [`Location::parse`], and `Unsupported` for a path with `.` or `..` in it.
pub fn match_key(text: &str) -> Result<String> {
    let mut location = Location::parse(text)?;
    if location.has_dots() {
        return Err(Error::unsupported(format!("{text} is written with dots: which file it means can't be told"))
            .hint("nothing is removed from a table that names its files so"));
    }
    if location.path.contains("//") || location.path.starts_with('/') {
        location.path = location.path.split('/').filter(|segment| !segment.is_empty()).collect::<Vec<_>>().join("/");
    }
    Ok(location.canonical())
}
