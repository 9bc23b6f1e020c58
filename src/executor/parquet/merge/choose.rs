//! Which encoding and which ZSTD level a column gets: tried on a page of it, then kept for the whole task.

use parquet::basic::Type as Physical;

use super::codec::{Codecs, Effort};
use super::dictionary::Layout;
use super::header::encoding;
use super::input::Shape;
use super::stop::{Result, unfit};
use super::{delta, split};

/// What the owner's policy allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rules {
    /// The ZSTD level asked for.
    pub(crate) level: i32,
    /// Delta and byte-stream-split encodings too (I13).
    pub(crate) modern: bool,
    /// No dictionary for this column.
    pub(crate) no_dictionary: bool,
    /// Bytes of a data page before compression.
    pub(crate) page_bytes: usize,
    /// Rows of a data page.
    pub(crate) page_rows: usize,
    /// Bytes of a dictionary.
    pub(crate) dictionary_bytes: usize,
}

impl Rules {
    /// Those of a policy that says nothing else.
    #[cfg(test)]
    pub(super) const USUAL: Self = Self {
        level: 3,
        modern: false,
        no_dictionary: false,
        page_bytes: 1 << 20,
        page_rows: 20_000,
        dictionary_bytes: 1 << 20,
    };

    /// What was asked for.
    pub(super) fn effort(&self) -> Effort {
        Effort::Level(self.level)
    }
}

/// What was found to suit a column.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Choice {
    /// Its values are nearly unique: no dictionary is begun.
    pub(super) unique: bool,
    /// Encoding and effort of pages with values.
    pub(super) plain: Option<(i32, Effort)>,
    /// Effort of pages with indices.
    pub(super) indices: Option<Effort>,
}

/// What is tried, with how much smaller (in thousandths) each must make a page to be worth its CPU. Level -1 does not look
/// for repeats among literals, which on packed digits is not only quicker: it can be the smaller one, because short matches
/// by chance cost more than they save. With coded literals, level -1000 looks for no repeats at all (a fifth less time than
/// level 1 on texts of digits, for the same bytes), and -10 for few (a third less on digits with lengths between them).
const EFFORTS: [(Effort, usize); 4] =
    [(Effort::Level(-1), 0), (Effort::Coded(-1000), 28), (Effort::Coded(-10), 30), (Effort::Level(1), 40)];
/// The same for the level that was asked for, as long as it is one that is a habit rather than a wish for small files.
const ASKED: usize = 100;
/// Up to this level it is a habit.
const ORDINARY: i32 = 3;

/// Encodes PLAIN values.
pub(super) fn encode(encoding: i32, shape: &Shape, plain: &[u8], count: usize, out: &mut Vec<u8>) -> Result<()> {
    match (encoding, shape.physical, shape.layout) {
        (encoding::PLAIN, Physical::BOOLEAN, _) => split::pack_bools(plain, out),
        (encoding::PLAIN, _, _) => out.extend_from_slice(plain),
        (encoding::DELTA_BINARY_PACKED, Physical::INT32, _) => delta::encode::<4>(plain, out),
        (encoding::DELTA_BINARY_PACKED, Physical::INT64, _) => delta::encode::<8>(plain, out),
        (encoding::DELTA_LENGTH_BYTE_ARRAY, Physical::BYTE_ARRAY, _) => delta::encode_bytes(plain, count, out)?,
        (encoding::BYTE_STREAM_SPLIT, _, Layout::Fixed(width)) => split::split(plain, width, out),
        _ => return unfit("an encoding that does not go with its type"),
    }
    Ok(())
}

/// The encodings that may suit a column.
fn candidates(shape: &Shape, rules: &Rules) -> &'static [i32] {
    match shape.physical {
        Physical::INT32 | Physical::INT64 if rules.modern => &[encoding::PLAIN, encoding::DELTA_BINARY_PACKED],
        Physical::FLOAT | Physical::DOUBLE if rules.modern => &[encoding::PLAIN, encoding::BYTE_STREAM_SPLIT],
        Physical::BYTE_ARRAY if rules.modern => &[encoding::PLAIN, encoding::DELTA_LENGTH_BYTE_ARRAY],
        _ => &[encoding::PLAIN],
    }
}

/// Chooses encoding and effort for values, by a page of them.
pub(super) fn for_values(
    codecs: &mut Codecs,
    shape: &Shape,
    rules: &Rules,
    plain: &[u8],
    count: usize,
) -> Result<(i32, Effort)> {
    let mut best: Option<(usize, i32, Effort)> = None;
    for encoding in candidates(shape, rules) {
        let mut encoded = Vec::new();
        encode(*encoding, shape, plain, count, &mut encoded)?;
        // The whole page where encodings are compared, so that the same values are.
        let (effort, size) = effort_for(codecs, rules, &encoded)?;
        if best.is_none_or(|(smallest, _, _)| size < smallest) {
            best = Some((size, *encoding, effort));
        }
    }
    Ok(best.map_or((encoding::PLAIN, rules.effort()), |(_, encoding, effort)| (encoding, effort)))
}

/// Chooses the effort for bytes, and says how many they become.
pub(super) fn effort_for(codecs: &mut Codecs, rules: &Rules, bytes: &[u8]) -> Result<(Effort, usize)> {
    let asked = (rules.effort(), if rules.level > ORDINARY { 0 } else { ASKED });
    let lower = EFFORTS.into_iter().filter(|(effort, _)| effort.level() < rules.level);
    let mut best: Option<(usize, Effort, usize)> = None;
    for (effort, burden) in lower.chain([asked]) {
        let size = codecs.compress(effort, bytes)?.len();
        let weighed = size * (1000 + burden);
        if best.is_none_or(|(least, ..)| weighed < least) {
            best = Some((weighed, effort, size));
        }
    }
    Ok(best.map_or((rules.effort(), 0), |(_, effort, size)| (effort, size)))
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    use super::*;

    #[test]
    fn should_try_no_harder_than_pays() {
        let (mut codecs, mut rng) = (Codecs::new(), StdRng::seed_from_u64(7));
        let mut effort = |bytes: &[u8]| effort_for(&mut codecs, &Rules::USUAL, bytes).unwrap().0;
        let noise: Vec<u8> = (0..200_000).map(|_| rng.random()).collect();
        assert_eq!(effort(&noise), Effort::Level(-1));
        let numbers: String = (0..50_000).map(|_| format!("T{}", rng.random_range(0..1u64 << 40))).collect();
        assert_eq!(effort(numbers.as_bytes()), Effort::Coded(-1000));
        let syllables = ["ka", "to", "mi", "ra", "ne", "so", "lu", "pe", "chi", "dor", "an", "el"];
        let word = |n: usize| (0..1 + n % 4).map(|at| syllables[n / 12usize.pow(at as u32) % 12]).collect::<String>();
        let text: Vec<String> = (0..50_000).map(|_| word(rng.random_range(1..2_000))).collect();
        assert_eq!(effort(text.join(" ").as_bytes()), Effort::Level(1), "repeats are worth looking for");
    }
}
