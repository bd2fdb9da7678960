//! Lines no longer than a limit, broken between words; longer words stay whole.

/// Breaks a text's lines. Spaces where a line is broken are dropped, all others stay.
pub fn wrapped(text: &str, limit: usize) -> String {
    let mut lines =
        Lines { out: String::with_capacity(text.len() + 16), used: 0, limit, word: String::new(), gap: String::new() };
    for letter in text.chars() {
        match letter {
            '\n' => lines.end(),
            space if space.is_whitespace() && space != '\u{a0}' => lines.space(space),
            other => lines.letter(other),
        }
    }
    lines.finish()
}

/// The text so far, and the gap and the word that are not placed yet.
struct Lines {
    out: String,
    used: usize,
    limit: usize,
    word: String,
    gap: String,
}

fn count(text: &str) -> usize {
    text.chars().count()
}

impl Lines {
    fn place(&mut self) {
        self.used += count(&self.gap) + count(&self.word);
        self.out.push_str(&self.gap);
        self.out.push_str(&self.word);
        self.gap.clear();
        self.word.clear();
    }

    fn end(&mut self) {
        if !self.word.is_empty() || self.used + count(&self.gap) <= self.limit {
            self.place();
        }
        self.gap.clear();
        self.out.push('\n');
        self.used = 0;
    }

    fn space(&mut self, space: char) {
        if self.gap.is_empty() || !self.word.is_empty() {
            self.place();
        }
        self.gap.push(space);
    }

    fn letter(&mut self, letter: char) {
        self.word.push(letter);
        let length = count(&self.word);
        if self.used + count(&self.gap) + length > self.limit && length < self.limit {
            self.out.push('\n');
            self.used = 0;
            self.gap.clear();
        }
    }

    fn finish(mut self) -> String {
        if !self.word.is_empty() || self.used + count(&self.gap) <= self.limit {
            self.place();
        }
        self.out
    }
}

#[cfg(test)]
mod tests {
    use super::wrapped;

    #[test]
    fn lines_break_between_words() {
        assert_eq!(wrapped("one two three", 8), "one two\nthree");
        assert_eq!(wrapped("a\n\nbb  cc\n", 20), "a\n\nbb  cc\n");
        assert_eq!(wrapped("x averyverylongword y", 6), "x\naveryverylongword\ny");
    }
}
