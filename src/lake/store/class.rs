//! Storage classes: given to what is written, read back, and changed where a file is.

use std::collections::BTreeMap;

use futures::stream::{self, StreamExt, TryStreamExt};
use object_store::{Attribute, AttributeValue, Attributes};

use super::{Location, Scheme, Store};
use crate::error::{Error, Kind, Result};

/// How many files are asked for their class side by side.
const ASKED_AT_ONCE: usize = 32;

impl Store {
    /// What a file is written with so that it gets a class. Local files have none.
    pub fn attributes(&self, location: &str, class: Option<&str>) -> Attributes {
        let has_classes = Location::parse(location)
            .is_ok_and(|parsed| matches!(parsed.scheme, Scheme::S3 | Scheme::Gcs | Scheme::Azure));
        let class = class.filter(|_| has_classes);
        let value = |class: &str| AttributeValue::from(class.to_owned());
        class.map(|class| (Attribute::StorageClass, value(class))).into_iter().collect()
    }

    /// The class of a file; `None` where the store has no classes, or can't say.
    ///
    /// # Errors
    /// `Corrupt` when there is no such file, `Unavailable` when the store does not answer.
    pub async fn class_of(&self, location: &str) -> Result<Option<String>> {
        let parsed = Location::parse(location)?;
        let client = self.client(&parsed)?;
        #[cfg(feature = "s3")]
        if let Some(direct) = &client.s3 {
            return match direct.head(&parsed.object_path()?, location).await? {
                Some(head) => Ok(Some(head.class)),
                None => Err(missing(location)),
            };
        }
        drop(client);
        Ok(None)
    }

    /// The classes of many files; those that have none are absent.
    ///
    /// # Errors
    /// As [`Store::class_of`].
    pub async fn classes_of(&self, locations: &[String]) -> Result<BTreeMap<String, String>> {
        let asked = stream::iter(locations).map(|location| async move {
            Ok::<_, Error>(self.class_of(location).await?.map(|class| (location.clone(), class)))
        });
        let found: Vec<_> = asked.buffer_unordered(ASKED_AT_ONCE).try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// Makes sure that a file has the class that it was written with.
    ///
    /// # Errors
    /// `Unavailable` when it has another one; otherwise as [`Store::class_of`].
    pub async fn confirm_class(&self, location: &str, wanted: &str) -> Result<()> {
        match self.class_of(location).await? {
            Some(found) if !found.eq_ignore_ascii_case(wanted) => Err(Error::new(
                Kind::Unavailable,
                format!("{location} should have storage class {wanted} and has {found}"),
            )
            .hint("the store did not keep the class: check that it knows it, and the bucket's lifecycle rules")),
            _ => Ok(()),
        }
    }

    /// Gives a file another class where it is: inside the store where that can, and only if the file is still the one
    /// that was looked at. Safe to repeat.
    ///
    /// # Errors
    /// `Unsupported` where the store has no classes or can't change them, `Conflict` when the file was replaced meanwhile,
    /// otherwise as [`Store::class_of`].
    pub async fn set_class(&self, location: &str, class: &str) -> Result<()> {
        let parsed = Location::parse(location)?;
        let client = self.client(&parsed)?;
        #[cfg(feature = "s3")]
        if let Some(direct) = &client.s3 {
            let path = parsed.object_path()?;
            let Some(head) = direct.head(&path, location).await? else { return Err(missing(location)) };
            if head.class.eq_ignore_ascii_case(class) {
                return Ok(());
            }
            if head.size <= super::transfer::MOST_AT_ONCE {
                let source = super::s3::Source { bucket: &parsed.authority, path: &path, etag: head.etag.as_deref() };
                match direct.copy(source, &path, Some(class), location).await {
                    Ok(()) => return self.confirm_class(location, class).await,
                    // A store that can't copy onto itself is served by reading and writing.
                    Err(error) if error.kind() == Kind::Unavailable => {
                        tracing::debug!(file = location, %error, "the store does not change a class in place");
                    }
                    Err(error) => return Err(error),
                }
            }
            self.stream(location, location, head.size, Some(class)).await?;
            return self.confirm_class(location, class).await;
        }
        drop(client);
        Err(Error::unsupported(format!("the storage class of {location} can't be changed"))
            .hint("this store has no storage classes, or does not tell them: give the tier a location of its own"))
    }
}

fn missing(location: &str) -> Error {
    Error::corrupt(format!("{location} is not there"))
        .hint("the table names a file that is not in the store: check that nothing else removes files")
}
