//! The first bytes of keys as numbers: most comparisons are decided by them, without a look at scattered memory.
//!
//! Keys of one sort often begin alike (all texts with the same letters, all times in the same year), so a head is taken
//! behind what all keys have in common.

use super::key::KeyRows;

/// Sixteen bytes of a key, as a number in the same order.
pub(super) type Head = (u64, u64);

/// Bytes of a head.
const BYTES: usize = size_of::<Head>();

/// The head of a key behind its first `skip` bytes; what is shorter is filled with zeros.
pub(super) fn head(key: &[u8], skip: usize) -> Head {
    let rest = key.get(skip..).unwrap_or_default();
    let number = match (rest.first_chunk::<BYTES>(), key.last_chunk::<BYTES>()) {
        (Some(first), _) => u128::from_be_bytes(*first),
        // The bytes before the rest are shifted out.
        (None, Some(last)) => u128::from_be_bytes(*last).checked_shl(bits(BYTES - rest.len())).unwrap_or(0),
        (None, None) => {
            let mut filled = [0; BYTES];
            filled[..rest.len()].copy_from_slice(rest);
            u128::from_be_bytes(filled)
        }
    };
    #[expect(clippy::cast_possible_truncation, reason = "its two halves")]
    let halves = ((number >> 64) as u64, number as u64);
    halves
}

#[expect(clippy::cast_possible_truncation, reason = "at most sixteen bytes")]
fn bits(bytes: usize) -> u32 {
    8 * bytes as u32
}

/// How many bytes two keys begin with alike.
pub(super) fn common(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// How many bytes all keys of some batches begin with alike.
pub(super) fn common_of_all(all: &[KeyRows]) -> usize {
    let Some(first) = all.iter().find(|keys| keys.count() > 0).map(|keys| keys.get(0)) else { return 0 };
    let mut alike = first;
    for keys in all {
        for row in 0..keys.count() {
            let key = keys.get(row);
            if !key.starts_with(alike) {
                alike = &alike[..common(alike, key)];
            }
        }
    }
    alike.len()
}

/// Whether heads behind `skip` bytes tell all of these keys apart. No key is the beginning of another one (that is how
/// they are made), so those that end within their heads are equal when their heads are.
pub(super) fn tell_all(keys: &KeyRows, skip: usize) -> bool {
    keys.longest() <= skip + BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn should_be_in_the_order_of_keys_whatever_their_lengths() {
        let long: Vec<u8> = (0..40).collect();
        for skip in [0, 1, 7, 16, 30, 50] {
            for length in 0..40 {
                let rest = long[..length].get(skip..).unwrap_or_default();
                let mut wanted = [0; 16];
                let some = rest.len().min(16);
                wanted[..some].copy_from_slice(&rest[..some]);
                let (high, low) = head(&long[..length], skip);
                assert_eq!([high.to_be_bytes(), low.to_be_bytes()].concat(), wanted, "{skip} {length}");
            }
        }
        assert!(head(b"HUB_0001", 3) < head(b"HUB_0002", 3));
    }

    #[test]
    fn should_know_what_keys_begin_with() {
        let joined = |keys: &[&[u8]]| {
            let mut ends = 0;
            let ends = keys.iter().map(|key| {
                ends += key.len();
                ends
            });
            KeyRows::Joined(keys.concat(), ends.collect())
        };
        let all = [joined(&[]), joined(&[b"abcd", b"abce"]), joined(&[b"abx"])];
        assert_eq!(common_of_all(&all), 2);
        assert_eq!(common_of_all(&all[..2]), 3);
        assert_eq!(common_of_all(&[joined(&[b"same", b"same"])]), 4);
        assert_eq!(common_of_all(&[joined(&[b"", b""])]), 0);
        assert_eq!(common_of_all(&[]), 0);
        assert!(tell_all(&joined(&[b"0123456789abcdef", b"x"]), 0));
        assert!(!tell_all(&joined(&[b"x", b"0123456789abcdefg"]), 0));
        assert!(tell_all(&joined(&[b"x", b"0123456789abcdefg"]), 1));
    }
}
