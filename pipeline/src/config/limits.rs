//! Bounds on a config that hold before anything is parsed: a hostile file must cost neither memory nor stack.

/// Largest config file in bytes.
pub(super) const MAX_BYTES: usize = 1 << 20;
/// Deepest nesting of tables and lists, dotted keys included.
pub(super) const MAX_DEPTH: usize = 64;

/// The byte at which `text` nests deeper than [`MAX_DEPTH`], if it does.
///
/// A scan without recursion: parsing, walking and dropping a deep tree all recurse, so depth is bounded here, first.
/// Where the text is no valid TOML the count is at least what a parser that recovers could build from it.
pub(super) fn too_deep(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut scan = Scan::default();
    let mut i = 0;
    while i < bytes.len() {
        i = match bytes[i] {
            b'#' => skip_while(bytes, i, |b| b != b'\n'),
            quote @ (b'"' | b'\'') => {
                scan.line_start = false;
                skip_string(bytes, i, quote)
            }
            byte => {
                scan.take(byte);
                i + 1
            }
        };
        if scan.depth() > MAX_DEPTH {
            return Some(i - 1);
        }
    }
    None
}

/// Where the scan stands. A key `a.b.c` adds two levels to whatever its value holds.
struct Scan {
    /// Levels that each open bracket added: itself, and the dots of the key before it.
    open: Vec<usize>,
    open_sum: usize,
    /// Levels of the current `[table]` header.
    header: usize,
    /// Dots of the current key.
    dots: usize,
    in_header: bool,
    after_equals: bool,
    line_start: bool,
}

impl Default for Scan {
    fn default() -> Self {
        Self {
            open: Vec::new(),
            open_sum: 0,
            header: 0,
            dots: 0,
            in_header: false,
            after_equals: false,
            line_start: true,
        }
    }
}

impl Scan {
    fn depth(&self) -> usize {
        self.header + self.open_sum + self.dots
    }

    fn take(&mut self, byte: u8) {
        match byte {
            b'\n' => {
                self.end_key();
                self.in_header = false;
                self.line_start = self.open.is_empty();
                return;
            }
            b' ' | b'\t' | b'\r' => return,
            b'[' if self.line_start => {
                (self.in_header, self.header) = (true, 1);
            }
            b'[' if self.in_header => {}
            b'[' | b'{' => {
                self.open.push(self.dots + 1);
                self.open_sum += self.dots + 1;
                self.end_key();
            }
            b']' | b'}' if self.in_header => self.in_header = false,
            b']' | b'}' => {
                self.open_sum -= self.open.pop().unwrap_or(0);
                self.end_key();
            }
            b',' => self.end_key(),
            b'=' => self.after_equals = true,
            b'.' if self.in_header => self.header += 1,
            b'.' if !self.after_equals => self.dots += 1,
            _ => {}
        }
        self.line_start = false;
    }

    fn end_key(&mut self) {
        self.dots = 0;
        self.after_equals = false;
    }
}

fn skip_while(bytes: &[u8], from: usize, on: impl Fn(u8) -> bool) -> usize {
    from + bytes[from..].iter().take_while(|b| on(**b)).count()
}

/// The byte after the string that starts at `from`; one that is not closed ends with its line, or with the file.
fn skip_string(bytes: &[u8], from: usize, quote: u8) -> usize {
    let triple = [quote; 3];
    let long = bytes[from..].starts_with(&triple);
    let mut i = from + if long { 3 } else { 1 };
    while i < bytes.len() {
        match bytes[i] {
            b'\\' if quote == b'"' => i += 2,
            b'\n' if !long => return i,
            b if b == quote && !long => return i + 1,
            b if b == quote && bytes[i..].starts_with(&triple) => {
                // Up to two more quotes belong to the text.
                return (i + 3..bytes.len().min(i + 5))
                    .find(|&j| bytes[j] != quote)
                    .unwrap_or(bytes.len().min(i + 5));
            }
            _ => i += 1,
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_and_dots_count_together() {
        assert_eq!(too_deep(&format!("a = {}", "[".repeat(64))), None);
        assert_eq!(too_deep(&format!("a = {}", "[".repeat(65))), Some(68));
        assert!(too_deep(&format!("a{} = 1", ".a".repeat(65))).is_some());
        assert!(too_deep(&format!("[a{}]\nb.c = {{}}", ".a".repeat(62))).is_some());
        assert!(too_deep(&format!("x = {}", "{a.a.a.a=".repeat(20))).is_some());
    }

    #[test]
    fn strings_comments_and_numbers_do_not_count() {
        let dots = ".".repeat(100);
        let text = format!(
            "a = \"[{dots}\"\nb = '''{dots}\n[[[''''' # {dots}\nc = [{}]\n",
            "1.5, ".repeat(100)
        );
        assert_eq!(too_deep(&text), None);
        assert_eq!(too_deep(&"[[pipeline]]\na.b = [[1]]\n".repeat(500)), None);
    }
}
