//! Storage tiers: where data of some age belongs, and what keeping it there costs.

use serde::{Deserialize, Serialize};

use super::{CompactPolicy, KIB};

/// Bytes of the gigabyte that storage is billed by.
pub const BILLED_GIB: f64 = 1_073_741_824.0;
/// The mean length of a month in days.
pub const DAYS_A_MONTH: f64 = 30.4375;

/// What a tier's storage costs, in US dollars (or any currency: they are only compared with one another).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Prices {
    /// Keeping a GiB for a month.
    pub gib_month: f64,
    /// A thousand writing requests (PUT, COPY, a part of an upload).
    pub writes_1000: f64,
    /// A thousand reading requests.
    pub reads_1000: f64,
    /// Reading a GiB.
    pub gib_retrieved: f64,
    /// An object that is removed earlier is billed for so many days.
    pub min_days: u32,
    /// A smaller object is billed as if it had so many bytes.
    pub min_billed_bytes: u64,
}

/// Money for people: cents, and two digits of what is less than one.
pub fn human_money(amount: f64) -> String {
    let digits = if amount == 0.0 || amount.abs() >= 0.1 { 2.0 } else { (1.0 - amount.abs().log10().floor()).min(9.0) };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 2 and 9")]
    let digits = digits as usize;
    format!("{}${:.digits$}", if amount < 0.0 { "-" } else { "" }, amount.abs())
}

/// What is known of a storage class.
struct Class {
    name: &'static str,
    prices: Prices,
    /// Whether an object must be restored before it can be read.
    offline: bool,
}

const fn class(name: &'static str, prices: (f64, f64, f64, f64), min_days: u32, min_kib: u64, offline: bool) -> Class {
    let (gib_month, writes_1000, reads_1000, gib_retrieved) = prices;
    Class {
        name,
        prices: Prices { gib_month, writes_1000, reads_1000, gib_retrieved, min_days, min_billed_bytes: min_kib * KIB },
        offline,
    }
}

/// List prices of the providers' first regions (Amazon us-east-1, Google us-central1, Azure East US) as of 2025. They
/// change, and contracts differ: each can be set in the configuration.
const CLASSES: [Class; 14] = [
    class("STANDARD", (0.023, 0.005, 0.0004, 0.0), 0, 0, false),
    class("REDUCED_REDUNDANCY", (0.024, 0.005, 0.0004, 0.0), 0, 0, false),
    class("INTELLIGENT_TIERING", (0.023, 0.005, 0.0004, 0.0), 0, 0, false),
    class("STANDARD_IA", (0.0125, 0.01, 0.001, 0.01), 30, 128, false),
    class("ONEZONE_IA", (0.01, 0.01, 0.001, 0.01), 30, 128, false),
    class("GLACIER_IR", (0.004, 0.02, 0.01, 0.03), 90, 128, false),
    class("GLACIER", (0.0036, 0.03, 0.0004, 0.01), 90, 0, true),
    class("DEEP_ARCHIVE", (0.00099, 0.05, 0.0004, 0.02), 180, 0, true),
    class("NEARLINE", (0.01, 0.01, 0.001, 0.01), 30, 0, false),
    class("COLDLINE", (0.004, 0.02, 0.01, 0.02), 90, 0, false),
    class("ARCHIVE", (0.0012, 0.05, 0.05, 0.05), 365, 0, false),
    class("HOT", (0.0184, 0.0065, 0.0005, 0.0), 0, 0, false),
    class("COOL", (0.01, 0.013, 0.0013, 0.01), 30, 0, false),
    class("COLD", (0.0036, 0.0234, 0.013, 0.03), 90, 0, false),
];

fn known(name: &str) -> Option<&'static Class> {
    CLASSES.iter().find(|class| class.name.eq_ignore_ascii_case(name))
}

/// The list prices of a storage class, if it is known.
pub fn class_prices(name: &str) -> Option<Prices> {
    known(name).map(|class| class.prices)
}

/// Whether objects of a class can't be read until they are restored. An unknown class is taken for one that can.
pub fn class_is_offline(name: &str, location: &str) -> bool {
    // Google's ARCHIVE is readable at once, Azure's of the same name is not.
    let azure = canonical(location).starts_with("abfs:");
    known(name).is_some_and(|class| class.offline || (azure && class.name == "ARCHIVE"))
}

/// Whether files that move to a tier are encoded anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Recompress {
    /// Where a sample says that it makes them smaller by at least [`Recompress::LEAST_GAIN`].
    Auto,
    /// All of them.
    Always,
    /// Only what has to be, because files are merged or are in another codec.
    Never,
}

impl Recompress {
    /// The share of its bytes that a file has to lose to be worth the encoding.
    pub const LEAST_GAIN: f64 = 0.05;
}

/// A class of storage for data of some age.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Tier {
    /// Its name.
    pub name: String,
    /// Data belongs here from this age on, in milliseconds; the first tier takes what is younger than all others.
    pub older_than_ms: Option<i64>,
    /// The root that its tables' files go below; the table's own data folder when absent.
    pub location: Option<String>,
    /// The store's class for its files; the store's default when absent.
    pub storage_class: Option<String>,
    /// How its files are written: level, encodings, size.
    pub policy: CompactPolicy,
    /// Whether what comes here is encoded anew.
    pub recompress: Recompress,
    /// Files that would stay smaller than this do not come here.
    pub min_object_bytes: u64,
    /// What it costs; unknown when absent: then no move is refused for its price.
    pub prices: Option<Prices>,
}

/// Where a tier's files are, as far as compaction has to know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct TierPlace {
    /// The tier's name.
    pub name: String,
    /// The root that its files lie below; the table's own when absent.
    pub location: Option<String>,
    /// The class of its files.
    pub storage_class: Option<String>,
}

impl Tier {
    /// Where its files are.
    pub fn place(&self) -> TierPlace {
        TierPlace {
            name: self.name.clone(),
            location: self.location.clone(),
            storage_class: self.storage_class.clone(),
        }
    }
}

impl TierPlace {
    /// Where the files of a table are in this tier: the tier's root and the last folders of the table's own location, as
    /// many as its name has parts. `None` for a tier inside the table's own location.
    ///
    /// Catalogs lay tables out as `warehouse/namespace/table` (some add a suffix): taken from the location, the folder
    /// stays the same when a table is renamed.
    pub fn table_location(&self, table_location: &str, name_parts: usize) -> Option<String> {
        let root = self.location.as_deref()?.trim_end_matches('/');
        let path = strip_store(table_location);
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let own = &parts[parts.len().saturating_sub(name_parts.max(1))..];
        Some(format!("{root}/{}", own.join("/")))
    }
}

/// Where a table has files beside its own location: one folder a tier that has a place of its own. They belong to the table
/// as its own location does: expiry and the removal of orphans have to know them.
pub fn tier_locations(places: &[TierPlace], table_location: &str, name_parts: usize) -> Vec<String> {
    places.iter().filter_map(|place| place.table_location(table_location, name_parts)).collect()
}

/// The tier of a file, by the longest root that it lies below and, where several tiers share one, by its class.
pub fn tier_of(places: &[TierPlace], path: &str, class: Option<&str>) -> usize {
    if places.len() < 2 {
        return 0;
    }
    let path = canonical(path);
    let depth = |place: &TierPlace| match &place.location {
        None => Some(0),
        Some(root) => {
            let root = format!("{}/", canonical(root));
            path.starts_with(&root).then_some(root.len())
        }
    };
    let Some(deepest) = places.iter().filter_map(depth).max() else { return 0 };
    let mut here = (0..places.len()).filter(|index| depth(&places[*index]) == Some(deepest)).peekable();
    let first = here.peek().copied().unwrap_or(0);
    match class {
        Some(class) => here.find(|index| same_class(places[*index].storage_class.as_deref(), class)).unwrap_or(first),
        None => first,
    }
}

/// Whether a tier's files can be told from those of a hotter tier only by asking the store for their class.
pub fn told_by_class(places: &[TierPlace]) -> bool {
    let root = |place: &TierPlace| place.location.as_deref().map(canonical);
    places.iter().enumerate().any(|(index, place)| places[..index].iter().any(|hotter| root(hotter) == root(place)))
}

/// Whether a file's class is the one that is wanted; a store's default class is called STANDARD.
pub fn same_class(wanted: Option<&str>, found: &str) -> bool {
    wanted.unwrap_or("STANDARD").eq_ignore_ascii_case(found)
}

/// One way to write a location: aliases of schemes are one, local files have none.
fn canonical(location: &str) -> String {
    let location = location.trim_end_matches('/');
    let Some((scheme, rest)) = location.split_once(':') else { return location.to_owned() };
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "file" => return format!("/{}", rest.trim_start_matches("//localhost").trim_start_matches('/')),
        "s3a" | "s3n" => "s3".to_owned(),
        "gcs" => "gs".to_owned(),
        "abfss" | "wasb" | "wasbs" | "az" | "azure" => "abfs".to_owned(),
        other => other.to_owned(),
    };
    format!("{scheme}:{rest}")
}

/// The path of a location without scheme and bucket.
fn strip_store(location: &str) -> String {
    let location = canonical(location);
    match location.split_once("://") {
        Some((_, rest)) => rest.split_once('/').map_or(String::new(), |(_, path)| path.to_owned()),
        None => location,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(name: &str, location: Option<&str>, class: Option<&str>) -> TierPlace {
        TierPlace {
            name: name.to_owned(),
            location: location.map(str::to_owned),
            storage_class: class.map(str::to_owned),
        }
    }

    #[test]
    fn should_tell_a_tier_by_place_and_then_by_class() {
        let places = [
            place("hot", None, None),
            place("warm", None, Some("STANDARD_IA")),
            place("cold", Some("s3a://cold/wh/"), Some("GLACIER_IR")),
            place("older", Some("s3://cold/wh/deep"), None),
        ];
        let of = |path: &str, class: Option<&str>| places[tier_of(&places, path, class)].name.as_str();
        assert_eq!(of("s3://lake/db/t/a", None), "hot");
        assert_eq!(of("s3://lake/db/t/a", Some("STANDARD")), "hot");
        assert_eq!(of("s3://lake/db/t/a", Some("standard_ia")), "warm");
        assert_eq!(of("s3://lake/db/t/a", Some("ONEZONE_IA")), "hot", "a class that no tier has");
        assert_eq!(of("s3n://cold/wh/db/t/a", Some("STANDARD")), "cold", "the place decides first");
        assert_eq!(of("s3://cold/wh/deep/db/t/a", None), "older");
        assert_eq!(of("s3://cold/wh2/db/t/a", None), "hot");
        assert!(told_by_class(&places) && !told_by_class(&places[2..]));
    }

    #[test]
    fn should_keep_a_tables_own_folders() {
        let cold = place("cold", Some("s3://cold/wh/"), None);
        let at = |location: &str, parts| cold.table_location(location, parts).unwrap();
        assert_eq!(at("s3://lake/warehouse/db/t/", 2), "s3://cold/wh/db/t");
        assert_eq!(at("file:///lake/warehouse/a/b/t-1", 3), "s3://cold/wh/a/b/t-1");
        assert_eq!(at("/t", 2), "s3://cold/wh/t");
        assert_eq!(place("hot", None, None).table_location("s3://lake/t", 2), None);
        let local = [place("hot", None, None), place("cold", Some("/cold"), None)];
        assert_eq!(tier_of(&local, "file:///cold/db/t/x", None), 1);
        assert_eq!(tier_of(&local, "file:/cold/db/t/x", None), 1);
    }

    #[test]
    fn should_show_small_sums_of_money() {
        let shown = [0.0, 1234.567, -0.5, 0.0349, 0.000_061_2].map(human_money);
        assert_eq!(shown, ["$0.00", "$1234.57", "-$0.50", "$0.035", "$0.000061"]);
    }

    #[test]
    fn should_know_what_classes_cost() {
        let offline = |class: &str| class_is_offline(class, "s3://lake/t");
        assert!(offline("deep_archive") && !offline("GLACIER_IR") && !offline("NEW") && !offline("ARCHIVE"));
        assert!(class_is_offline("Archive", "abfss://box@account/t"));
        let standard = class_prices("STANDARD").map(|prices| prices.gib_month);
        assert!(class_prices("GLACIER_IR").map(|prices| prices.gib_month) < standard);
        assert_eq!(class_prices("NEW"), None);
    }
}
