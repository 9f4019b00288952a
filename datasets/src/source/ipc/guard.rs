//! Checks of an Arrow IPC file's footer and messages against the bytes that are really there.

use std::sync::Arc;

use crate::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use crate::arrow::ipc::{
    Block, MetadataVersion, RecordBatch, convert, root_as_footer, root_as_message,
};

use crate::Result;
use crate::source::content::Content;
use crate::source::text::source_error;
use crate::{BLOCK_ROWS, DataError};

const MAGIC: &[u8; 6] = b"ARROW1";
/// Footer length and magic at the end.
const TRAILER: u64 = 10;
/// Magic and padding at the start.
const HEADER: u64 = 8;

/// What the footer says, after it was checked.
#[derive(Debug)]
pub(super) struct Footer {
    pub schema: SchemaRef,
    pub version: MetadataVersion,
    pub batches: Vec<Block>,
    pub dictionaries: Vec<Block>,
}

pub(super) fn damaged(file: &str, what: impl std::fmt::Display) -> DataError {
    source_error(file, format!("no Arrow IPC file, or a damaged one: {what}"))
}

/// Reads the footer; every block it names lies inside the file, and together they are no larger than it.
pub(super) fn read_footer(file: &str, content: &Content, length: u64) -> Result<Footer> {
    if length < HEADER + TRAILER {
        return Err(damaged(file, format_args!("{length} bytes are too few")));
    }
    let head = content.range(0..HEADER)?;
    if head.starts_with(b"FEA1") {
        return Err(source_error(
            file,
            "this is Feather version 1; write version 2 (Arrow IPC)",
        ));
    }
    if head.starts_with(&[0xff; 4]) {
        return Err(source_error(
            file,
            "this is an Arrow IPC stream; write an Arrow IPC file (with a footer)",
        ));
    }
    let trailer = content.range(length - TRAILER..length)?;
    if !head.starts_with(MAGIC) || &trailer[4..] != MAGIC {
        return Err(damaged(
            file,
            "the signature `ARROW1` is absent; the file may be cut short",
        ));
    }
    let stated = i32::from_le_bytes([trailer[0], trailer[1], trailer[2], trailer[3]]);
    let room = length - HEADER - TRAILER;
    let size = u64::try_from(stated).ok().filter(|s| *s <= room);
    let Some(size) = size else {
        return Err(damaged(
            file,
            format_args!("the footer claims {stated} bytes of {room}"),
        ));
    };
    let start = length - TRAILER - size;
    let bytes = content.range(start..length - TRAILER)?;
    parse_footer(file, &bytes, start)
}

fn parse_footer(file: &str, bytes: &[u8], end: u64) -> Result<Footer> {
    let footer = root_as_footer(bytes).map_err(|e| damaged(file, e))?;
    let Some(schema) = footer.schema() else {
        return Err(damaged(file, "there is no schema"));
    };
    if !schema.endianness().equals_to_target_endianness() {
        return Err(source_error(
            file,
            "the file is in the byte order of another kind of machine",
        ));
    }
    let schema = convert::fb_to_schema(schema);
    let batches: Vec<Block> = footer.recordBatches().iter().flatten().copied().collect();
    let dictionaries: Vec<Block> = footer.dictionaries().iter().flatten().copied().collect();
    let mut total = 0_u64;
    for block in batches.iter().chain(&dictionaries) {
        total = total.saturating_add(block_length(file, block, end)?);
    }
    if total > end {
        return Err(damaged(file, "the blocks overlap"));
    }
    Ok(Footer {
        schema: Arc::new(schema),
        version: footer.version(),
        batches,
        dictionaries,
    })
}

/// The length of a block that lies before `end`.
fn block_length(file: &str, block: &Block, end: u64) -> Result<u64> {
    let part = |v: i64| u64::try_from(v).ok();
    let checked = || {
        let start = part(block.offset())?;
        let message = part(i64::from(block.metaDataLength()))?;
        let length = message.checked_add(part(block.bodyLength())?)?;
        let fits = start.checked_add(length)? <= end && message >= 8;
        fits.then_some(length)
    };
    checked().ok_or_else(|| damaged(file, "a block lies outside the file"))
}

fn message<'a>(file: &str, bytes: &'a [u8]) -> Result<crate::arrow::ipc::Message<'a>> {
    let start = if bytes.starts_with(&[0xff; 4]) { 8 } else { 4 };
    let body = bytes
        .get(start..)
        .ok_or_else(|| damaged(file, "a message is too short"))?;
    root_as_message(body).map_err(|e| damaged(file, e))
}

/// Rows of the record batch of this message, which must be plausible for the bytes of its body.
pub(super) fn message_rows(file: &str, bytes: &[u8], block: &Block) -> Result<usize> {
    let Some(batch) = message(file, bytes)?.header_as_record_batch() else {
        return Err(damaged(file, "a record batch was expected"));
    };
    rows(file, &batch, block)
}

fn rows(file: &str, batch: &RecordBatch<'_>, block: &Block) -> Result<usize> {
    // The narrowest column takes a bit a row.
    let most = (block.bodyLength().max(0) as u64).saturating_mul(8) + BLOCK_ROWS as u64;
    u64::try_from(batch.length())
        .ok()
        .filter(|n| *n <= most)
        .and_then(|n| usize::try_from(n).ok())
        .ok_or_else(|| {
            damaged(
                file,
                format_args!("a record batch claims {} rows", batch.length()),
            )
        })
}

/// Checks a record batch's message before it is decoded.
pub(super) fn check_batch(file: &str, bytes: &[u8], block: &Block, schema: &Schema) -> Result<()> {
    let Some(batch) = message(file, bytes)?.header_as_record_batch() else {
        return Err(damaged(file, "a record batch was expected"));
    };
    let types: Vec<&DataType> = schema.fields().iter().map(|f| f.data_type()).collect();
    check(file, &batch, block, &types)
}

/// Checks a dictionary's message before it is decoded.
pub(super) fn check_dictionary(
    file: &str,
    bytes: &[u8],
    block: &Block,
    schema: &Schema,
) -> Result<()> {
    let found = message(file, bytes)?;
    let Some(dictionary) = found.header_as_dictionary_batch() else {
        return Err(damaged(file, "a dictionary was expected"));
    };
    let Some(batch) = dictionary.data() else {
        return Err(damaged(file, "a dictionary has no values"));
    };
    #[allow(deprecated)]
    // the replacement keeps ids apart from fields, which the decoder does not do yet
    let fields = schema.fields_with_dict_id(dictionary.id());
    let value = fields.first().and_then(|f| match f.data_type() {
        DataType::Dictionary(_, value) => Some(value.as_ref()),
        _ => None,
    });
    match value {
        Some(value) => check(file, &batch, block, &[value]),
        None => Err(damaged(file, "a dictionary belongs to no column")),
    }
}

fn check(file: &str, batch: &RecordBatch<'_>, block: &Block, types: &[&DataType]) -> Result<()> {
    let rows = rows(file, batch, block)? as i64;
    if batch.compression().is_some() {
        return Err(source_error(
            file,
            "the file is compressed inside, which is not read; write it without compression, or as Parquet",
        ));
    }
    let mut views = batch.variadicBufferCounts().into_iter().flatten();
    let (mut nodes, mut buffers) = (0, 0);
    for ty in types {
        let (n, b) = counts(ty, &mut views)
            .ok_or_else(|| damaged(file, format_args!("{ty} columns are not read")))?;
        nodes += n;
        buffers += b;
    }
    let found_nodes = batch.nodes().map_or(0, |n| n.len());
    let found_buffers = batch.buffers().map_or(0, |b| b.len());
    if found_nodes != nodes || found_buffers != buffers || views.next().is_some() {
        return Err(damaged(file, "a record batch does not match the schema"));
    }
    for node in batch.nodes().iter().flatten() {
        if node.length() < 0 || !(0..=node.length()).contains(&node.null_count()) {
            return Err(damaged(file, "a column has an impossible length"));
        }
        // Children of lists are longer than the batch; their buffers bound them, and flat columns are as long as it.
        if found_nodes == types.len() && node.length() != rows {
            return Err(damaged(file, "a column has another length than its batch"));
        }
    }
    let body = block.bodyLength();
    for buffer in batch.buffers().iter().flatten() {
        let end = buffer.offset().checked_add(buffer.length());
        if buffer.offset() < 0 || buffer.length() < 0 || end.is_none_or(|e| e > body) {
            return Err(damaged(file, "a buffer lies outside its batch"));
        }
    }
    Ok(())
}

/// How many nodes and buffers a column of this type has; `None` for types that are not read.
fn counts(ty: &DataType, views: &mut dyn Iterator<Item = i64>) -> Option<(usize, usize)> {
    let mut with_child = |own: usize, item: &Field| {
        let (nodes, buffers) = counts(item.data_type(), views)?;
        Some((nodes + 1, buffers + own))
    };
    Some(match ty {
        DataType::Null => (1, 0),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Binary | DataType::LargeBinary => (1, 3),
        DataType::Utf8View | DataType::BinaryView => {
            (1, usize::try_from(views.next()?).ok()?.checked_add(2)?)
        }
        DataType::List(item) | DataType::LargeList(item) => with_child(2, item)?,
        DataType::FixedSizeList(item, _) => with_child(1, item)?,
        DataType::Struct(fields) => {
            let mut sum = (1, 1);
            for field in fields {
                let (nodes, buffers) = with_child(0, field)?;
                sum = (sum.0 + nodes - 1, sum.1 + buffers);
            }
            sum
        }
        t if t.is_primitive() => (1, 2),
        DataType::Boolean | DataType::Dictionary(..) => (1, 2),
        _ => return None,
    })
}
