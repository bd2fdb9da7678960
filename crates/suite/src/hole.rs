//! Expected output with holes: `[AGE]` stands for a word, `[...]` for the rest of a line, a line `...` for any
//! number of lines. White space between words counts as one space: column widths follow what is in the holes.

/// Whether the output is as expected.
pub fn matches(expected: &str, actual: &str) -> bool {
    let expected: Vec<&str> = lines(expected);
    let actual: Vec<&str> = lines(actual);
    lines_match(&expected, &actual)
}

/// The output with every line as the expected text has it, where one of its lines matches: what is left differs.
pub fn filled(expected: &str, actual: &str) -> String {
    let expected = lines(expected);
    let mut filled = String::new();
    for found in lines(actual) {
        let wanted = expected.iter().find(|wanted| wanted.trim() != "[...]" && line_matches(wanted, found));
        filled.push_str(wanted.unwrap_or(&found));
        filled.push('\n');
    }
    filled
}

fn lines(text: &str) -> Vec<&str> {
    text.trim_end().lines().map(str::trim_end).collect()
}

fn lines_match(expected: &[&str], actual: &[&str]) -> bool {
    match expected.split_first() {
        None => actual.is_empty(),
        Some((first, rest)) if first.trim() == "..." => {
            (0..=actual.len()).any(|skipped| lines_match(rest, &actual[skipped..]))
        }
        Some((first, rest)) => match actual.split_first() {
            Some((line, others)) => line_matches(first, line) && lines_match(rest, others),
            None => false,
        },
    }
}

fn line_matches(expected: &str, actual: &str) -> bool {
    let expected: Vec<&str> = expected.split_whitespace().collect();
    let actual: Vec<&str> = actual.split_whitespace().collect();
    for (at, word) in expected.iter().enumerate() {
        if *word == "[...]" {
            return at + 1 == expected.len();
        }
        if !actual.get(at).is_some_and(|found| word_matches(word, found)) {
            return false;
        }
    }
    expected.len() == actual.len()
}

/// `web-[ID]:` matches `web-x7k2p:`; a hole is at least one character.
fn word_matches(expected: &str, actual: &str) -> bool {
    let Some((before, rest)) = expected.split_once('[') else { return expected == actual };
    let Some((name, after)) = rest.split_once(']') else { return expected == actual };
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_') {
        return expected == actual;
    }
    let Some(left) = actual.strip_prefix(before) else { return false };
    left.char_indices()
        .skip(1)
        .map(|(at, _)| at)
        .chain([left.len()])
        .any(|at| at > 0 && word_matches(after, &left[at..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_stand_for_words_lines_and_ends() {
        assert!(matches("a   [AGE]\n", "a 12s"));
        assert!(matches("web-[ID]  1/1", "web-abc   1/1"));
        assert!(!matches("web-[ID]  1/1", "web-  1/1"));
        assert!(matches("x [...]", "x y z"));
        assert!(matches("first\n...\nlast", "first\n1\n2\nlast"));
        assert!(!matches("first\nlast", "first\n1\nlast"));
        assert!(matches("[a b]", "[a b]"));
        assert!(!matches("a [AGE]", "a"));
        assert_eq!(filled("a  [AGE]\nb", "a 12s\nc\n"), "a  [AGE]\nc\n");
    }
}
