//! Truncated bounds: the lower one is cut, the upper one is cut and then raised, so that both still hold.

use iceberg::spec::PrimitiveType;

use super::Bound;

/// A lower bound of at most `length` characters (strings) or bytes (binary, fixed); other types stay whole.
pub(crate) fn lower(bound: &Bound, kind: Option<&PrimitiveType>, length: usize) -> Option<Vec<u8>> {
    match (bound, kind) {
        (Bound::Bytes(bytes), Some(PrimitiveType::String)) => {
            let text = std::str::from_utf8(bytes).ok()?;
            Some(text.chars().take(length).collect::<String>().into_bytes())
        }
        (Bound::Bytes(bytes), Some(PrimitiveType::Binary | PrimitiveType::Fixed(_))) => {
            Some(bytes[..bytes.len().min(length)].to_vec())
        }
        _ => Some(bound.to_bytes()),
    }
}

/// An upper bound of at most `length` characters or bytes; `None` when no such bound exists.
pub(crate) fn upper(bound: &Bound, kind: Option<&PrimitiveType>, length: usize) -> Option<Vec<u8>> {
    match (bound, kind) {
        (Bound::Bytes(bytes), Some(PrimitiveType::String)) => {
            let text = std::str::from_utf8(bytes).ok()?;
            let mut chars: Vec<char> = text.chars().take(length).collect();
            if chars.len() == text.chars().count() {
                return Some(bytes.clone());
            }
            // Raise the last character that can be raised.
            while let Some(last) = chars.pop() {
                if let Some(next) = next_char(last) {
                    chars.push(next);
                    return Some(chars.into_iter().collect::<String>().into_bytes());
                }
            }
            None
        }
        (Bound::Bytes(bytes), Some(PrimitiveType::Binary | PrimitiveType::Fixed(_))) => {
            if bytes.len() <= length {
                return Some(bytes.clone());
            }
            let mut cut = bytes[..length].to_vec();
            while let Some(last) = cut.pop() {
                if last < u8::MAX {
                    cut.push(last + 1);
                    return Some(cut);
                }
            }
            None
        }
        _ => Some(bound.to_bytes()),
    }
}

/// The next code point, over the gap of the surrogates.
fn next_char(c: char) -> Option<char> {
    match c {
        '\u{D7FF}' => Some('\u{E000}'),
        char::MAX => None,
        other => char::from_u32(u32::from(other) + 1),
    }
}
