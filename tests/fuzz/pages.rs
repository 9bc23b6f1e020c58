//! Any bytes as pages of a column chunk: see `check`.
#![no_main]

use icewright::executor::internals::fuzz::check;
use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(
    init: {
        // The reader that results are compared with may give up by a panic, which is caught; any other one ends the process.
        std::panic::set_hook(Box::new(|info| eprintln!("{info}")));
    },
    |input: &[u8]| -> Corpus {
        check(input);
        Corpus::Keep
    }
);
