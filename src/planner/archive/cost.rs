//! What a move costs and saves, and whether it ever pays.

use crate::model::{BILLED_GIB, DAYS_A_MONTH, MIB, Money, Prices, Tier};

/// How far ahead savings count for the coldest tier, in days: nobody knows what data is worth in four years.
pub(super) const HORIZON_DAYS: u64 = 3 * 365;
/// Bytes of one reading or writing request (ranges and parts of an upload).
const REQUEST_BYTES: u64 = 8 * MIB;
const DAY_MS: i64 = 86_400_000;

/// A file as its tier bills it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stored {
    pub(super) tier: usize,
    pub(super) bytes: u64,
    /// When it was written, if a retained snapshot says so. Otherwise it is old enough.
    pub(super) written_ms: Option<i64>,
}

/// What files of `bytes` altogether cost a month.
pub(super) fn monthly(prices: &Prices, files: u64, bytes: u64) -> f64 {
    let billed = bytes.max(files.saturating_mul(prices.min_billed_bytes));
    billed as f64 / BILLED_GIB * prices.gib_month
}

/// What it costs to turn `inputs` into so many files of so many bytes in another tier; `None` without prices.
pub(super) fn money(
    tiers: &[Tier],
    inputs: &[Stored],
    to: usize,
    files: u64,
    bytes: u64,
    now_ms: i64,
) -> Option<Money> {
    let target = tiers[to].prices.as_ref()?;
    let mut money = Money { once: 0.0, monthly_before: 0.0, monthly_after: monthly(target, files, bytes) };
    for input in inputs {
        let source = tiers[input.tier].prices.as_ref()?;
        let month = monthly(source, 1, input.bytes);
        let requests = input.bytes.div_ceil(REQUEST_BYTES) + 1;
        let kept = input.written_ms.map_or(i64::MAX, |written| (now_ms - written).max(0) / DAY_MS);
        let early = (i64::from(source.min_days) - kept).max(0);
        money.monthly_before += month;
        money.once += requests as f64 / 1000.0 * source.reads_1000
            + input.bytes as f64 / BILLED_GIB * source.gib_retrieved
            + early as f64 / DAYS_A_MONTH * month;
    }
    // A file of several parts also begins and completes its upload.
    let parts = bytes.div_ceil(files.max(1)).div_ceil(REQUEST_BYTES).max(1);
    let writes = files * if parts > 1 { parts + 2 } else { 1 };
    money.once += writes as f64 / 1000.0 * target.writes_1000;
    Some(money)
}

/// How long data that is so old stays in a tier before the next one takes it, in days.
pub(super) fn stay_days(tiers: &[Tier], to: usize, age_ms: i64) -> u64 {
    match tiers.get(to + 1).and_then(|next| next.older_than_ms) {
        Some(line) => u64::try_from((line - age_ms).max(0) / DAY_MS).unwrap_or(0).min(HORIZON_DAYS),
        None => HORIZON_DAYS,
    }
}

/// Whether a move saves more than it costs while the data stays, early removal from the new tier included.
pub(super) fn pays(money: &Money, target: &Prices, days: u64) -> bool {
    let early = u64::from(target.min_days).saturating_sub(days) as f64 / DAYS_A_MONTH * money.monthly_after;
    money.saved() * days as f64 / DAYS_A_MONTH > money.once + early
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{CompactPolicy, GIB, KIB, Recompress, class_prices};

    fn tier(class: &str, older_than_days: Option<i64>) -> Tier {
        Tier {
            name: class.to_lowercase(),
            older_than_ms: older_than_days.map(|days| days * DAY_MS),
            location: None,
            storage_class: Some(class.to_owned()),
            policy: CompactPolicy::default(),
            recompress: Recompress::Auto,
            min_object_bytes: 0,
            prices: class_prices(class),
        }
    }

    fn tiers() -> Vec<Tier> {
        vec![tier("STANDARD", None), tier("STANDARD_IA", Some(90)), tier("GLACIER_IR", Some(365))]
    }

    #[test]
    fn should_count_what_a_provider_bills() {
        let tiers = tiers();
        let old = Stored { tier: 0, bytes: GIB, written_ms: None };
        let money = money(&tiers, &[old], 2, 2, GIB, 0).unwrap();
        assert!((money.monthly_before - 0.023).abs() < 1e-9 && (money.monthly_after - 0.004).abs() < 1e-9, "{money:?}");
        // 129 reads, and 128 parts with 4 requests around them.
        assert!((money.once - (0.129 * 0.0004 + 0.132 * 0.02)).abs() < 1e-9, "{money:?}");
        assert!(pays(&money, &tiers[2].prices.unwrap(), HORIZON_DAYS));
        // Out of Infrequent Access: retrieval, and the rest of its 30 days.
        let young = Stored { tier: 1, bytes: GIB, written_ms: Some(-10 * DAY_MS) };
        let back = super::money(&tiers, &[young], 0, 1, GIB, 0).unwrap();
        assert!(back.once > 0.01 + 20.0 / DAYS_A_MONTH * 0.0125 && back.saved() < 0.0, "{back:?}");
    }

    #[test]
    fn should_see_that_small_objects_and_short_stays_never_pay() {
        let tiers = tiers();
        let tiny = Stored { tier: 0, bytes: 10 * KIB, written_ms: None };
        let lost = money(&tiers, &[tiny], 2, 1, 10 * KIB, 0).unwrap();
        assert!(lost.saved() < 0.0, "billed as 128 KiB: {lost:?}");
        let small = Stored { tier: 0, bytes: 600 * KIB, written_ms: None };
        let cost = money(&tiers, &[small], 1, 1, 600 * KIB, 0).unwrap();
        let prices = tiers[1].prices.unwrap();
        assert!(pays(&cost, &prices, 275) != pays(&cost, &prices, 10), "{cost:?}");
        let days = |age: i64| stay_days(&tiers, 1, age * DAY_MS);
        assert_eq!((days(90), days(360), days(400)), (275, 5, 0));
        assert_eq!(stay_days(&tiers, 2, 0), HORIZON_DAYS);
    }
}
