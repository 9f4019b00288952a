//! From `s3://bucket/...` to a list of objects, by the rules for files: an object, else a glob, else a folder; in order of names, hidden
//! ones left out.

use std::io;
use std::path::Path;

use glob::{MatchOptions, Pattern};

use super::locate::is_hidden;
use super::text::source_error;
use crate::objects::{Address, Listing, Object, find, folder};
use crate::schema::nearest;
use crate::{DataError, Result};

/// A star stops at a slash, as it does where folders are read.
const OPTIONS: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: false,
};

pub(super) fn locate(origin: &str, address: io::Result<Address>) -> Result<Vec<Object>> {
    // Written wrongly, an address may hold a secret: it is not repeated.
    let address = address.map_err(|e| source_error("s3://", e.to_string()))?;
    let fail = |e| DataError::io(origin, e);
    if !address.key.is_empty() && !origin.ends_with('/') {
        if let Some(object) = find(&address).map_err(fail)? {
            return Ok(vec![object]);
        }
        if address.key.contains(['*', '?', '[']) {
            return expand(origin, &address);
        }
    }
    let listing = folder(&address).map_err(fail)?;
    if listing.objects.is_empty() && listing.folders.is_empty() {
        return Err(fail(missing(&address)));
    }
    all_of(origin, listing)
}

/// The objects of a folder that holds no other one.
fn all_of(origin: &str, listing: Listing) -> Result<Vec<Object>> {
    let seen = |key: &str| !is_hidden(Path::new(key));
    if let Some(inner) = listing.folders.iter().find(|key| seen(key)) {
        return Err(source_error(
            origin,
            format!(
                "the folder holds another one, `{inner}`; name objects in folders by a glob such as `{}/**/*.parquet`",
                origin.trim_end_matches('/')
            ),
        ));
    }
    sorted(origin, listing.objects, "the folder holds no data files")
}

fn expand(origin: &str, address: &Address) -> Result<Vec<Object>> {
    let pattern = Pattern::new(&address.key)
        .map_err(|e| source_error(origin, format!("the glob is malformed: {e}")))?;
    let parts: Vec<&str> = address.key.split('/').collect();
    let is_plain = |part: &&&str| !part.contains(['*', '?', '[']);
    let plain = parts.iter().take_while(is_plain).count();
    let mut objects = Vec::new();
    let start = address.with_key(parts[..plain].join("/"));
    collect(&start, &parts[plain..], &mut objects).map_err(|e| DataError::io(origin, e))?;
    objects.retain(|o| pattern.matches_with(o.key(), OPTIONS));
    sorted(origin, objects, "no object matches the glob")
}

/// The objects below a folder that the rest of a pattern may match: folders that it cannot match are not asked for.
fn collect(at: &Address, parts: &[&str], into: &mut Vec<Object>) -> io::Result<()> {
    let Some((part, rest)) = parts.split_first() else {
        return Ok(());
    };
    let deep = *part == "**";
    let listing = folder(at)?;
    if deep || rest.is_empty() {
        into.extend(listing.objects);
    }
    // A part alone may be no pattern (`[a/b]` has brackets across parts); then every folder may match.
    let pattern = Pattern::new(part).ok();
    for key in listing.folders {
        let name = key.rsplit('/').next().unwrap_or_default();
        if deep {
            collect(&at.with_key(&key), parts, into)?;
        } else if !rest.is_empty() && pattern.as_ref().is_none_or(|p| p.matches(name)) {
            collect(&at.with_key(&key), rest, into)?;
        }
    }
    Ok(())
}

/// In the order that paths have: folder by folder, not byte by byte.
fn sorted(origin: &str, mut objects: Vec<Object>, none: &str) -> Result<Vec<Object>> {
    objects.retain(|o| !is_hidden(Path::new(o.key())));
    if objects.is_empty() {
        return Err(source_error(origin, none));
    }
    objects.sort_by(|a, b| a.key().split('/').cmp(b.key().split('/')));
    Ok(objects)
}

fn missing(address: &Address) -> io::Error {
    let (above, name) = address.key.rsplit_once('/').unwrap_or(("", &address.key));
    let beside = folder(&address.with_key(above)).unwrap_or_default();
    let keys = beside.objects.iter().map(Object::key);
    let mut names: Vec<&str> = keys
        .chain(beside.folders.iter().map(String::as_str))
        .filter_map(|key| key.rsplit('/').next())
        .collect();
    names.sort_unstable();
    let near = nearest(name, names.into_iter())
        .map(|n| format!("; did you mean `{n}`?"))
        .unwrap_or_default();
    io::Error::new(
        io::ErrorKind::NotFound,
        format!("no such object or folder{near}"),
    )
}
