//! Progress of a run: a bar on a terminal, a log line now and then elsewhere.

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::task::JoinHandle;

use crate::telemetry::Progress;

/// Shows progress until it is dropped.
#[derive(Debug)]
pub(super) struct Bars {
    shower: JoinHandle<()>,
    bar: Option<ProgressBar>,
}

impl Bars {
    /// Starts to show `progress` under a name.
    pub(super) fn start(progress: Arc<Progress>, what: &str) -> Self {
        if std::io::stderr().is_terminal() {
            let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr_with_hz(10));
            let style = ProgressStyle::with_template(
                "{prefix} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec} {msg}, {eta} left",
            );
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
            bar.set_prefix(what.to_owned());
            let shown = bar.clone();
            let shower = tokio::spawn(async move {
                loop {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    let view = progress.view();
                    if view.bytes_total > 0 {
                        shown.set_length(view.bytes_total);
                        shown.set_position(view.bytes_read.min(view.bytes_total));
                        shown.set_message(format!("{}/{} groups", view.tasks_done, view.tasks_total));
                    }
                }
            });
            return Self { shower, bar: Some(bar) };
        }
        let what = what.to_owned();
        let shower = tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_secs(10)).await;
                let view = progress.view();
                tracing::info!(
                    run = what,
                    groups = view.tasks_total,
                    groups_done = view.tasks_done,
                    bytes = view.bytes_total,
                    bytes_read = view.bytes_read,
                    bytes_written = view.bytes_written,
                    commits = view.commits,
                    "progress"
                );
            }
        });
        Self { shower, bar: None }
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        self.shower.abort();
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
