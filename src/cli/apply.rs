//! `icewright apply`.

use super::args::ApplyArgs;
use super::bars::Bars;
use super::ending::finish;
use super::plan::load;
use super::session::Session;
use crate::error::Result;

/// Runs saved plans one after another; the worst result is the exit code.
pub(super) async fn run(session: &Session, args: &ApplyArgs) -> Result<u8> {
    let file = load(&args.plan)?;
    let mut reports = Vec::new();
    for saved in &file.plans {
        if args.dry_run {
            reports.push(session.maintenance.apply_dry_run(saved).await);
            continue;
        }
        let bars = Bars::start(session.maintenance.progress.clone(), &saved.plan.table().to_string());
        reports.push(session.maintenance.apply(saved).await);
        drop(bars);
    }
    finish(session, "apply", reports).await
}
