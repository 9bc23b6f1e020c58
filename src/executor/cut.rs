//! Where one output file ends and the next begins: by what was measured, not by what was planned.

/// The share of the target that one of several files may exceed it by, where the edges of row groups leave no other way.
const SLIVER: f64 = 1.0 / 64.0;

/// Decides before every row group whether the file at hand is closed first.
///
/// All outputs of a group should lie between half the target and the target. What is left is divided anew each time:
/// with T bytes to come (written into this file, plus the rest by the ratio measured so far) there will be
/// `ceil(T / target)` files, and each gets an equal share.
#[derive(Debug, Clone)]
pub(crate) struct Cutter {
    target: u64,
    ratio: f64,
    input_left: u64,
    input_done: u64,
    output_done: u64,
    in_file: u64,
    closed_any: bool,
}

impl Cutter {
    /// A cutter for `input` bytes, of which the plan expects `expected` bytes to come out.
    pub(crate) fn new(target: u64, input: u64, expected: u64) -> Self {
        let ratio = if input == 0 { 1.0 } else { expected as f64 / input as f64 };
        Self { target, ratio, input_left: input, input_done: 0, output_done: 0, in_file: 0, closed_any: false }
    }

    /// The input is known better now: all of it has so many bytes.
    pub(crate) fn expect(&mut self, input: u64) {
        self.input_left = input.saturating_sub(self.input_done);
    }

    /// Output bytes per input byte, as measured so far (as planned before anything was).
    pub(crate) fn ratio(&self) -> f64 {
        // The plan's guess fades as measurements come in (one row group is enough to outweigh it), and ends with a file.
        let guess = if self.closed_any { 0.0 } else { (self.target as f64 / 64.0).max(1.0) };
        let (input, output) = (self.input_done as f64, self.output_done as f64);
        (guess * self.ratio + output) / (guess + input)
    }

    /// About how many bytes each of the files will have.
    pub(crate) fn share(&self) -> f64 {
        let total = self.output_done as f64 + self.input_left as f64 * self.ratio();
        total / (total / self.target as f64).ceil().max(1.0)
    }

    /// Whether to close the file at hand before a row group made from `next` input bytes is written.
    pub(crate) fn close_before(&self, next: u64) -> bool {
        if self.in_file == 0 {
            return false;
        }
        let (target, ratio, in_file) = (self.target as f64, self.ratio(), self.in_file as f64);
        let next = next as f64 * ratio;
        let to_come = in_file + self.input_left as f64 * ratio;
        // A hair more than one file, as row groups and measures waver: a sliver of its own would be worse.
        if self.closed_any && to_come <= target * (1.0 + SLIVER) {
            return false;
        }
        let files = (to_come / target).ceil().max(1.0);
        // Closing here must leave no more than the other files can hold.
        let rest_fits = to_come - in_file <= (files - 1.0) * target;
        if in_file + next > if rest_fits { target } else { target * (1.0 + SLIVER) } {
            return true;
        }
        // Close where the edge of a row group is nearest to the equal share.
        files > 1.0 && rest_fits && in_file + next / 2.0 > to_come / files
    }

    /// A row group was written: from so many input bytes came so many output bytes.
    pub(crate) fn wrote(&mut self, input: u64, output: u64) {
        self.input_left = self.input_left.saturating_sub(input);
        self.input_done += input;
        self.output_done += output;
        self.in_file += output;
    }

    /// The file at hand was closed.
    pub(crate) fn closed(&mut self) {
        self.in_file = 0;
        self.closed_any = true;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn run(target: u64, groups: &[u64], expected: f64, real: f64) -> Vec<u64> {
        let input: u64 = groups.iter().sum();
        let mut cutter = Cutter::new(target, input, (input as f64 * expected) as u64);
        let (mut files, mut at_hand) = (Vec::new(), 0);
        for group in groups {
            if cutter.close_before(*group) {
                files.push(std::mem::take(&mut at_hand));
                cutter.closed();
            }
            let output = (*group as f64 * real) as u64;
            cutter.wrote(*group, output);
            at_hand += output;
        }
        files.push(at_hand);
        files
    }

    #[test]
    fn should_make_equal_files() {
        // 40 groups of 30 bytes are 1200: three files of 400 at a target of 512.
        assert_eq!(run(512, &[30; 40], 1.0, 1.0), [390, 420, 390]);
        assert_eq!(run(512, &[30; 10], 1.0, 1.0), [300]);
        let share = |bytes| Cutter::new(512, bytes, bytes).share();
        assert_eq!((share(1200), share(300), share(0)), (400.0, 300.0, 0.0));
    }

    proptest! {
        #[test]
        fn should_stay_in_the_band_whatever_the_ratio(
            groups in prop::collection::vec(10_000u64..40_000, 1..600),
            expected in 0.3f64..1.5,
            real in 0.3f64..1.5,
        ) {
            // Row groups of 2 to 8 % of the target (after compression), ratio off by up to five times.
            let target = 512_000;
            let files = run(target, &groups, expected, real);
            let total: u64 = files.iter().sum();
            let largest = groups.iter().max().copied().unwrap_or(0);
            let slack = (largest as f64 * real) as u64;
            for file in &files {
                prop_assert!(*file <= target + slack, "{files:?}");
            }
            // Where the files that are needed have no room for the edges of a row group between them, one more is needed.
            let room = total.div_ceil(target) * target - total;
            if total > target + slack && room > slack {
                // The first file may be cut by a wrong guess, and the last takes the remainder: both within a row group
                // of the band as long as the guess is corrected in time.
                for file in &files {
                    prop_assert!(*file + 2 * slack + target / 20 >= target / 2, "{files:?}");
                }
            }
        }
    }
}
