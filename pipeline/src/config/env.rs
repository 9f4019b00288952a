//! `${NAME}` in strings: environment variables from the allow-list `env.allow`, and nothing else.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::document::{Node, Notes};
use super::section::suggest;

/// Reads one environment variable.
pub(super) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A string that held placeholders: where it stands, and what the author wrote.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Placeholder {
    pub path: Vec<String>,
    pub written: String,
}

/// What substitution did.
#[derive(Debug, Default)]
pub(super) struct Substituted {
    pub placeholders: Vec<Placeholder>,
    /// Value and name of each variable that was used.
    pub secrets: BTreeMap<String, String>,
}

/// Values shorter than this are no secrets, and replacing them would spoil unrelated words of a message.
const SECRET_LENGTH: usize = 3;

/// Puts variables into every string outside `[env]`; keys are left alone. `$${` stands for a literal `${`.
pub(super) fn substitute(
    root: &mut DeTable<'_>,
    allow: &[String],
    lookup: Lookup<'_>,
    notes: &mut Notes,
) -> Substituted {
    let mut walk = Walk {
        allow,
        lookup,
        notes,
        path: Vec::new(),
        done: Substituted::default(),
    };
    walk.table(root, true);
    walk.done
}

struct Walk<'a> {
    allow: &'a [String],
    lookup: Lookup<'a>,
    notes: &'a mut Notes,
    path: Vec<String>,
    done: Substituted,
}

impl Walk<'_> {
    fn table(&mut self, table: &mut DeTable<'_>, top: bool) {
        for (key, node) in table.iter_mut() {
            if top && key.get_ref() == "env" {
                continue;
            }
            self.path.push(key.get_ref().to_string());
            self.node(node);
            self.path.pop();
        }
    }

    fn node(&mut self, node: &mut Node<'_>) {
        let span = node.span();
        match node.get_mut() {
            DeValue::Table(table) => self.table(table, false),
            DeValue::Array(array) => {
                for (i, element) in array.iter_mut().enumerate() {
                    self.path.push(i.to_string());
                    self.node(element);
                    self.path.pop();
                }
            }
            DeValue::String(text) if text.contains("${") => {
                let written = text.to_string();
                *text = Cow::Owned(self.fill(&written, &span));
                self.done.placeholders.push(Placeholder {
                    path: self.path.clone(),
                    written,
                });
            }
            _ => {}
        }
    }

    fn fill(&mut self, written: &str, span: &Range<usize>) -> String {
        let mut filled = String::with_capacity(written.len());
        let mut rest = written;
        while let Some(at) = rest.find("${") {
            let (before, from) = rest.split_at(at);
            if let Some(literal) = before.strip_suffix('$') {
                filled.push_str(literal);
                filled.push_str("${");
                rest = &from[2..];
                continue;
            }
            filled.push_str(before);
            let Some(end) = from.find('}') else {
                self.notes.help(
                    span.clone(),
                    "`${` without `}`",
                    Some("write `$${` for a literal `${`"),
                );
                self.notes.settle(span.clone());
                return filled;
            };
            filled.push_str(&self.value(&from[2..end], span));
            rest = &from[end + 1..];
        }
        filled + rest
    }

    fn value(&mut self, name: &str, span: &Range<usize>) -> String {
        if !self.allow.iter().any(|a| a == name) {
            let help = suggest(name, self.allow).unwrap_or_else(|| {
                format!("write [env] with allow = [\"{name}\"], or `$${{` for a literal `${{`")
            });
            let what = format!("environment variable `{name}` is not in `env.allow`");
            self.notes.help(span.clone(), what, Some(help));
            self.notes.settle(span.clone());
            return String::new();
        }
        let Some(value) = (self.lookup)(name) else {
            let what = format!("environment variable `{name}` is not set, or is not UTF-8");
            self.notes
                .help(span.clone(), what, Some("set it before the run"));
            self.notes.settle(span.clone());
            return String::new();
        };
        if value.chars().count() >= SECRET_LENGTH {
            self.done.secrets.insert(value.clone(), name.to_owned());
        }
        value
    }
}
