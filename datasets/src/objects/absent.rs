//! A build without object stores: no object can exist, and every door says how to get one.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;

use super::{Address, Listing};

/// An object of a store, of which there is none in this build.
#[derive(Debug, Clone)]
pub(crate) enum Object {}

impl Object {
    pub fn url(&self) -> &str {
        match *self {}
    }

    pub fn key(&self) -> &str {
        match *self {}
    }

    pub fn len(&self) -> u64 {
        match *self {}
    }

    pub fn range(&self, _range: Range<u64>) -> io::Result<Vec<u8>> {
        match *self {}
    }

    pub fn reader(&self, _range: Range<u64>) -> Box<dyn Read + Send> {
        match *self {}
    }
}

/// Whether this build can reach objects.
pub(crate) fn available() -> io::Result<()> {
    Err(absent())
}

pub(crate) fn find(_address: &Address) -> io::Result<Option<Object>> {
    Err(absent())
}

pub(crate) fn folder(_address: &Address) -> io::Result<Listing> {
    Err(absent())
}

pub(crate) fn put(_address: &Address, _file: File, _replace: bool) -> io::Result<()> {
    Err(absent())
}

pub(crate) fn remove(_address: &Address) -> io::Result<()> {
    Err(absent())
}

fn absent() -> io::Error {
    io::Error::new(
        io::ErrorKind::Unsupported,
        "this build has no object stores; build it with `--features s3`, or name a local file",
    )
}
