//! Objects of S3-compatible stores: found, listed, read by range, and put whole.
//!
//! Everything else in the workspace knows an object as an [`Object`] or by its address `s3://bucket/key`. What talks to the store, and
//! the runtime it needs, lie in `s3.rs`; a build without the feature `s3` has `absent.rs` in its place, where no object can exist and
//! every door says how to build what is missing.
//!
//! Endpoint and credentials come from the environment, as the AWS tools know them, and from nowhere else: an address cannot hold
//! them, so no config, report or model can.

use std::io;
use std::path::Path;

#[cfg(not(feature = "s3"))]
mod absent;
#[cfg(feature = "s3")]
mod explain;
#[cfg(feature = "s3")]
mod s3;

#[cfg(not(feature = "s3"))]
pub(crate) use absent::{Object, available, find, folder, put, remove};
#[cfg(feature = "s3")]
pub(crate) use s3::{Object, available, find, folder, put, remove};

const SCHEME: &str = "s3://";

/// Whether this is the address of an object, or of a folder of objects.
pub(crate) fn is_address(path: &Path) -> bool {
    path.to_str().is_some_and(|p| p.starts_with(SCHEME))
}

/// Where an object lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    pub bucket: String,
    /// Without a slash at its start or end; empty for the bucket itself.
    pub key: String,
}

impl Address {
    /// The address that `text` writes; `None` where it is a path or of another scheme.
    ///
    /// # Errors
    /// The bucket has no name or an impossible one, or the key has an empty part. The message does not repeat the address: somebody may
    /// have written a secret there.
    pub fn parse(text: &str) -> Option<io::Result<Self>> {
        let rest = text.strip_prefix(SCHEME)?;
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        let key = key.strip_suffix('/').unwrap_or(key);
        Some(Self::checked(bucket, key))
    }

    /// As [`Address::parse`], for a path that [`is_address`].
    pub fn of(path: &Path) -> io::Result<Self> {
        let parsed = path.to_str().and_then(Self::parse);
        parsed.unwrap_or_else(|| Err(wrong("this is no address of an object")))
    }

    /// As [`Address::of`], where an object must be named and not a bucket.
    pub fn of_object(path: &Path) -> io::Result<Self> {
        let address = Self::of(path)?;
        if address.key.is_empty() || path.to_str().is_some_and(|p| p.ends_with('/')) {
            return Err(wrong(
                "this names a folder; name an object: `s3://bucket/folder/name`",
            ));
        }
        Ok(address)
    }

    fn checked(bucket: &str, key: &str) -> io::Result<Self> {
        if bucket.contains(['@', ':']) {
            return Err(wrong(
                "an address has no room for credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and write `s3://bucket/key`",
            ));
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if bucket.is_empty() || !bucket.chars().all(allowed) {
            return Err(wrong(
                "this is no name of a bucket; write `s3://bucket/key`",
            ));
        }
        let impossible = |part: &str| {
            matches!(part, "" | "." | "..") || part.chars().any(|c| c.is_ascii_control())
        };
        if !key.is_empty() && key.split('/').any(impossible) {
            return Err(wrong(
                "the key has a part that is empty, `.` or `..`, or holds control characters; such keys are not read",
            ));
        }
        Ok(Self {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
        })
    }

    /// The address of a key of the same bucket.
    pub fn with_key(&self, key: impl Into<String>) -> Self {
        Self {
            bucket: self.bucket.clone(),
            key: key.into(),
        }
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{SCHEME}{}/{}", self.bucket, self.key)
    }
}

fn wrong(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message)
}

/// What lies directly in a folder.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    pub objects: Vec<Object>,
    /// Keys of the folders in it.
    pub folders: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_bucket_and_a_key() {
        let address = |text: &str| Address::parse(text).unwrap().unwrap();
        let of = |a: Address| (a.bucket, a.key);
        assert_eq!(of(address("s3://b/k.csv")), ("b".into(), "k.csv".into()));
        assert_eq!(
            of(address("s3://b.c-d/x/y/")),
            ("b.c-d".into(), "x/y".into())
        );
        assert_eq!(of(address("s3://b")), ("b".into(), String::new()));
        assert!(Address::parse("data/a.csv").is_none());
        assert!(Address::parse("gs://b/k").is_none());
    }

    #[test]
    fn an_address_that_cannot_be_is_refused_without_being_repeated() {
        for text in [
            "s3://",
            "s3:///k",
            "s3://b/a//b",
            "s3://b/../k",
            "s3://b b/k",
        ] {
            assert!(Address::parse(text).unwrap().is_err(), "{text}");
        }
        let error = Address::parse("s3://AKIAX:hidden@b/k")
            .unwrap()
            .unwrap_err();
        let text = error.to_string();
        assert!(text.contains("AWS_ACCESS_KEY_ID"), "{text}");
        assert!(!text.contains("hidden"), "{text}");
    }
}
