//! `icewright forecast`: what the fleet will need, with its arithmetic shown.

use serde::Serialize;

use super::args::ForecastArgs;
use super::rank::look;
use super::session::Session;
use super::{output, render};
use crate::error::{Error, Result};
use crate::model::{Tier, class_prices, human_bytes, human_money, parse_age, parse_bytes};
use crate::scheduler::{Assumptions, Forecast, TierPrice, forecast};

#[derive(Serialize)]
struct Document {
    version: u32,
    command: &'static str,
    assumptions: Assumptions,
    forecast: Forecast,
}

/// Looks at the whole fleet and computes what it will need.
pub(super) async fn run(session: &Session, args: &ForecastArgs) -> Result<u8> {
    let positive = |name: &str, value: f64| {
        if value.is_finite() && value > 0.0 {
            Ok(value)
        } else {
            Err(Error::invalid(format!("--{name} is not above 0")))
        }
    };
    let assumptions = Assumptions {
        scale: positive("scale", args.scale)?,
        days: parse_age(&args.ahead)?.as_secs_f64() / 86_400.0,
        bytes_per_second: positive("throughput", parse_bytes(&args.throughput)? as f64)?,
        window_hours: positive("window-hours", args.window_hours)?,
        tiers: tiers(&session.tiers()?),
        looks_per_day: positive("looks", args.looks)?,
    };
    let names = session.maintenance.catalog.list_tables().await?;
    let fleet = look(session, names).await;
    let forecast = forecast(&fleet.tables, &assumptions);
    if session.json {
        output::json(&Document { version: 1, command: "forecast", assumptions, forecast })?;
    } else {
        output::data(&text(&forecast, &assumptions));
    }
    for (name, error) in &fleet.unreadable {
        output::talk(&format!("error: {name}: {error}"));
    }
    Ok(fleet.unreadable.iter().map(|(_, error)| error.kind().exit_code()).max().unwrap_or(0))
}

/// Prices by tier: configured ones, else list prices. Without tiers the usual three are compared.
fn tiers(configured: &[Tier]) -> Vec<TierPrice> {
    let list = |class: &str| class_prices(class).map_or(0.0, |prices| prices.gib_month);
    let tier = |name: &str, from_days: f64, class: &str| TierPrice {
        name: name.to_owned(),
        from_days,
        gib_month: list(class),
    };
    if configured.len() < 2 {
        return vec![
            tier("hot", 0.0, "STANDARD"),
            tier("warm", 90.0, "STANDARD_IA"),
            tier("cold", 365.0, "GLACIER_IR"),
        ];
    }
    configured
        .iter()
        .map(|known| TierPrice {
            name: known.name.clone(),
            from_days: known.older_than_ms.unwrap_or(0) as f64 / 86_400_000.0,
            gib_month: known.prices.map_or_else(|| list("STANDARD"), |prices| prices.gib_month),
        })
        .collect()
}

fn text(seen: &Forecast, with: &Assumptions) -> String {
    let bytes = |n: f64| human_bytes(whole(n));
    let mut rows = vec![
        line("tables", seen.tables.to_string(), seen.tables.to_string(), String::new()),
        line(
            "growth a day",
            bytes(seen.growth_now),
            bytes(seen.growth_then),
            format!("bytes that writers added in retained snapshots ÷ their days, × {}", with.scale),
        ),
        line(
            "live data",
            bytes(seen.bytes_now),
            bytes(seen.bytes_then),
            format!("now × {} + growth × {:.0} days", with.scale, with.days),
        ),
        line(
            "compaction a week",
            String::new(),
            format!("{:.1} h", seen.compaction_hours),
            format!(
                "{} × 7 × {:.2} rewritten for each byte added ÷ {}/s",
                bytes(seen.growth_then),
                seen.rewrite_ratio,
                bytes(with.bytes_per_second)
            ),
        ),
        line(
            "workers",
            String::new(),
            seen.workers.to_string(),
            format!("{:.1} h ÷ {} h of window, rounded up", seen.compaction_hours, with.window_hours),
        ),
    ];
    for tier in &seen.tiered {
        let price = with.tiers.iter().find(|known| known.name == tier.name).map_or(0.0, |known| known.gib_month);
        rows.push(line(
            &format!("tier {}", tier.name),
            String::new(),
            bytes(tier.bytes),
            format!("× {} a GiB and month = {} a month", human_money(price), human_money(tier.dollars)),
        ));
    }
    rows.push(line(
        "storage a month",
        String::new(),
        human_money(seen.dollars_tiered),
        format!(
            "all of it hot: {}; saved: {}",
            human_money(seen.dollars_hot),
            human_money(seen.dollars_hot - seen.dollars_tiered)
        ),
    ));
    rows.push(line("metadata", String::new(), bytes(seen.metadata_bytes), format!("now × {}", with.scale)));
    rows.push(line(
        "catalog requests a day",
        String::new(),
        format!("{:.0}", seen.catalog_requests),
        format!("{} looks × {} tables, and 2 for each commit", with.looks_per_day, seen.tables),
    ));
    let mut text = render::table(&["", ">now", &format!(">× {}", with.scale), "how"], rows) + "\n";
    if seen.without_history > 0 {
        text.push_str(&format!(
            "{} tables have snapshots of less than a day: their growth counts as none\n",
            seen.without_history
        ));
    }
    if !seen.fastest.is_empty() {
        let rows = seen
            .fastest
            .iter()
            .map(|growth| vec![growth.table.clone(), human_bytes(growth.bytes), bytes(growth.bytes_per_day)])
            .collect();
        text.push_str(&render::table(&["fastest growing", ">bytes", ">a day"], rows));
        text.push('\n');
    }
    text
}

fn line(what: &str, now: String, then: String, how: String) -> Vec<String> {
    vec![what.to_owned(), now, then, how]
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "sizes are not negative; the cast saturates"
)]
fn whole(n: f64) -> u64 {
    n as u64
}
