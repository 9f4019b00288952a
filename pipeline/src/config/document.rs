//! A config's text, its overrides, and the list of what is wrong with them.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{ConfigError, ConfigErrors};

/// Mistakes reported at most; a file with more is not a config.
const MAX_ERRORS: usize = 200;

/// A value of the parsed tree with its place.
pub(super) type Node<'t> = Spanned<DeValue<'t>>;

/// Where a config came from: enough to turn a place in the tree into a message.
///
/// A place inside the file is a range of its bytes. Overrides lie, one after another, in an imagined text behind the file:
/// a place there means the override.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    pub file: String,
    pub text: String,
    pub overrides: Vec<String>,
    /// Value and name of each environment variable that was put in: values never reach a message.
    pub secrets: BTreeMap<String, String>,
}

impl Origin {
    pub fn new(file: &str, text: &str, overrides: &[String]) -> Self {
        Self {
            file: file.to_owned(),
            text: text.to_owned(),
            overrides: overrides.to_vec(),
            secrets: BTreeMap::new(),
        }
    }

    /// First byte of each override in the imagined text.
    pub fn bases(&self) -> impl Iterator<Item = usize> + '_ {
        let mut next = self.text.len() + 1;
        self.overrides.iter().map(move |o| {
            let base = next;
            next += o.len() + 1;
            base
        })
    }

    /// Fine, or everything noted.
    pub fn finish(&self, notes: Notes) -> Result<(), ConfigErrors> {
        if notes.errors.is_empty() {
            Ok(())
        } else {
            Err(self.errors(notes))
        }
    }

    /// Everything noted, in file order, overrides last.
    pub fn errors(&self, mut notes: Notes) -> ConfigErrors {
        notes
            .errors
            .sort_by_key(|e| e.span.as_ref().map_or(usize::MAX, |s| s.start));
        let mut errors: Vec<ConfigError> = Vec::new();
        let found = notes.errors.len();
        for error in notes.errors.into_iter().take(MAX_ERRORS) {
            let error = self.presentable(error);
            if !errors.contains(&error) {
                errors.push(error);
            }
        }
        if found > MAX_ERRORS {
            errors.push(ConfigError {
                span: None,
                message: format!("and {} more mistakes", found - MAX_ERRORS),
                help: None,
            });
        }
        ConfigErrors {
            file: self.file.clone(),
            text: self.text.clone(),
            errors,
        }
    }

    fn presentable(&self, mut error: ConfigError) -> ConfigError {
        error.message = self.redacted(&error.message);
        error.help = error.help.map(|h| self.redacted(&h));
        let Some(span) = &error.span else {
            return error;
        };
        if span.start > self.text.len()
            && let Some((_, given)) = self
                .bases()
                .zip(&self.overrides)
                .take_while(|(base, _)| *base <= span.start)
                .last()
        {
            error.message = format!("--set {given}: {}", error.message);
            error.span = None;
        }
        error
    }

    fn redacted(&self, message: &str) -> String {
        let mut message = message.to_owned();
        for (value, name) in &self.secrets {
            message = message.replace(value.as_str(), &format!("${{{name}}}"));
        }
        message
    }
}

/// What is wrong, as it is found.
#[derive(Debug, Default)]
pub(super) struct Notes {
    errors: Vec<ConfigError>,
    /// Ranges where the syntax is broken: whatever else seems wrong there is its consequence.
    broken: Vec<Range<usize>>,
    /// Whether something may be absent from the tree that is present in the text.
    incomplete: bool,
}

impl Notes {
    /// Notes a mistake at a place.
    pub fn at(&mut self, span: Range<usize>, message: impl Into<String>) {
        self.push(Some(span), message.into(), None);
    }

    /// Notes a mistake at a place, with what to do about it.
    pub fn help(
        &mut self,
        span: Range<usize>,
        message: impl Into<String>,
        help: Option<impl Into<String>>,
    ) {
        self.push(Some(span), message.into(), help.map(Into::into));
    }

    /// Notes that something is not there; without meaning where the tree is incomplete.
    pub fn missing(
        &mut self,
        span: Option<Range<usize>>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        if !self.incomplete {
            self.push(span, message.into(), Some(help.into()));
        }
    }

    /// Whatever else seems wrong at this place from now on is a consequence of what was noted.
    pub fn settle(&mut self, span: Range<usize>) {
        self.broken.push(span);
    }

    pub fn is_empty(&self) -> bool {
        self.errors.is_empty()
    }

    fn push(&mut self, span: Option<Range<usize>>, message: String, help: Option<String>) {
        let consequence = span
            .as_ref()
            .is_some_and(|s| self.broken.iter().any(|b| b.contains(&s.start)));
        // A value made up by the parser, so that it could go on, has no place.
        let made_up = self.incomplete && span == Some(0..0);
        if !consequence && !made_up {
            self.errors.push(ConfigError {
                span,
                message,
                help,
            });
        }
    }

    /// Parses the text; the tree lacks what could not be read.
    pub fn parse<'t>(&mut self, text: &'t str) -> DeTable<'t> {
        let (root, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            self.syntax(text, error);
        }
        root.into_inner()
    }

    /// Notes a mistake of syntax. One a line: the parser finds its way again at the next.
    fn syntax(&mut self, text: &str, error: &toml::de::Error) {
        let span = error.span().unwrap_or(0..0);
        let start = floor_boundary(text, span.start);
        let line = text[..start].rfind('\n').map_or(0, |i| i + 1);
        if error.message() == "duplicate key" {
            let key = text.get(span.clone()).unwrap_or_default();
            self.help(
                span,
                format!("`{key}` is given twice"),
                Some("leave one of them"),
            );
            return;
        }
        self.help(span, error.message().trim(), syntax_help(&text[line..]));
        self.incomplete = true;
        let line_end = text[start..].find('\n').map_or(text.len(), |i| start + i);
        // Behind a broken header it is unknown which table the keys belong to.
        let end = if text[line..].trim_start().starts_with('[') {
            text[line_end..]
                .find("\n[")
                .map_or(text.len() + 1, |i| line_end + i + 1)
        } else {
            line_end + 1
        };
        self.broken.push(line..end);
    }
}

fn syntax_help(line: &str) -> Option<&'static str> {
    let value = line.lines().next()?.split_once('=')?.1.trim();
    let bare = value.starts_with(|c: char| c.is_alphabetic() || c == '/');
    let known = ["true", "false", "inf", "nan"];
    (bare && !known.contains(&value)).then_some("text needs quotes")
}

fn floor_boundary(text: &str, byte: usize) -> usize {
    let mut byte = byte.min(text.len());
    while !text.is_char_boundary(byte) {
        byte -= 1;
    }
    byte
}

/// The places of a key, its value and everything below, without the values themselves.
#[derive(Debug, Clone, Default)]
pub(super) struct Place {
    pub key: Range<usize>,
    pub value: Range<usize>,
    /// The value where it is text.
    pub text: Option<String>,
    /// Keys of a table, elements of a list under `0`, `1`, ...
    pub children: BTreeMap<String, Place>,
}

impl Place {
    pub fn of_table(table: &DeTable<'_>, span: Range<usize>) -> Self {
        let children = table
            .iter()
            .map(|(k, v)| (k.get_ref().to_string(), Self::of(k.span(), v)))
            .collect();
        Self {
            key: span.clone(),
            value: span,
            text: None,
            children,
        }
    }

    fn of(key: Range<usize>, node: &Node<'_>) -> Self {
        let mut place = match node.get_ref() {
            DeValue::Table(t) => Self::of_table(t, node.span()),
            DeValue::Array(a) => Self {
                children: a
                    .iter()
                    .enumerate()
                    .map(|(i, n)| (i.to_string(), Self::of(n.span(), n)))
                    .collect(),
                ..Self::default()
            },
            DeValue::String(s) => Self {
                text: Some(s.to_string()),
                ..Self::default()
            },
            _ => Self::default(),
        };
        place.key = key;
        place.value = node.span();
        place
    }

    /// What is at `path` (`classifier.reg_param`, `splits[2]`), or as far as it leads; and whether it led all the way.
    pub fn find(&self, path: &str) -> (&Self, bool) {
        let mut place = self;
        for segment in path.split(['.', '[']) {
            match place.children.get(segment.trim_end_matches(']')) {
                Some(child) => place = child,
                None => return (place, false),
            }
        }
        (place, true)
    }

    /// The first text value below that equals `wanted`.
    pub fn find_text(&self, wanted: &str) -> Option<&Self> {
        if self.text.as_deref() == Some(wanted) {
            return Some(self);
        }
        self.children.values().find_map(|c| c.find_text(wanted))
    }
}

/// Shifts every place of a tree by `offset` bytes.
pub(super) fn shifted(node: Node<'_>, offset: usize) -> Node<'_> {
    let shift = |s: Range<usize>| s.start + offset..s.end + offset;
    let span = shift(node.span());
    let value = match node.into_inner() {
        DeValue::Array(a) => DeValue::Array(a.into_iter().map(|n| shifted(n, offset)).collect()),
        DeValue::Table(t) => DeValue::Table(
            t.into_iter()
                .map(|(k, v)| {
                    let span = shift(k.span());
                    (Spanned::new(span, k.into_inner()), shifted(v, offset))
                })
                .collect(),
        ),
        other => other,
    };
    Spanned::new(span, value)
}
