//! Current values of the metrics, and how Prometheus reads them.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};

use super::names::{ALL, Metric, MetricKind};

/// One series of a metric.
#[derive(Debug, Clone)]
pub(in crate::telemetry) enum Series {
    /// Of a gauge or a counter.
    Value(f64),
    /// Of a histogram: observations below or at each edge, the sum of all, and their number.
    Histogram { below: Vec<u64>, sum: f64, count: u64 },
}

/// Values by metric and labels. Cheap to update from anywhere; encoding takes a moment's lock.
#[derive(Debug, Default)]
pub struct Registry {
    series: Mutex<BTreeMap<&'static str, BTreeMap<Vec<String>, Series>>>,
}

impl Registry {
    /// Sets a gauge. A value that is no number (0 over 0) is left out.
    pub fn set(&self, metric: &'static Metric, labels: &[&str], value: f64) {
        self.change(metric, labels, |series| {
            if let Series::Value(known) = series {
                *known = value;
            }
        });
    }

    /// Adds to a counter or gauge.
    pub fn add(&self, metric: &'static Metric, labels: &[&str], value: f64) {
        self.change(metric, labels, |series| {
            if let Series::Value(known) = series {
                *known += value;
            }
        });
    }

    /// Observes a value of a histogram.
    pub fn observe(&self, metric: &'static Metric, labels: &[&str], value: f64) {
        let MetricKind::Histogram(edges) = metric.kind else { return };
        self.change(metric, labels, |series| {
            if let Series::Histogram { below, sum, count } = series {
                for (edge, n) in edges.iter().zip(below) {
                    *n += u64::from(value <= *edge);
                }
                *sum += value;
                *count += 1;
            }
        });
    }

    /// A gauge's or counter's value; `None` when nothing was recorded.
    pub fn value(&self, metric: &'static Metric, labels: &[&str]) -> Option<f64> {
        let series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        let labels: Vec<String> = labels.iter().map(|label| (*label).to_owned()).collect();
        match series.get(metric.name)?.get(&labels)? {
            Series::Value(value) => Some(*value),
            Series::Histogram { sum, .. } => Some(*sum),
        }
    }

    /// Forgets series whose first label is not wanted any more (tables that were dropped).
    pub fn retain(&self, metric: &'static Metric, keep: impl Fn(&str) -> bool) {
        let mut series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(all) = series.get_mut(metric.name) {
            all.retain(|labels, _| labels.first().is_none_or(|label| keep(label)));
        }
    }

    fn change(&self, metric: &'static Metric, labels: &[&str], change: impl FnOnce(&mut Series)) {
        debug_assert_eq!(metric.labels.len(), labels.len(), "labels of {}", metric.name);
        let mut series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        let labels: Vec<String> = labels.iter().map(|label| (*label).to_owned()).collect();
        let fresh = || match metric.kind {
            MetricKind::Gauge | MetricKind::Counter => Series::Value(0.0),
            MetricKind::Histogram(edges) => Series::Histogram { below: vec![0; edges.len()], sum: 0.0, count: 0 },
        };
        change(series.entry(metric.name).or_default().entry(labels).or_insert_with(fresh));
    }

    /// Shows every metric that has a series, with its series by label values.
    pub(in crate::telemetry) fn each(&self, mut show: impl FnMut(&'static Metric, &BTreeMap<Vec<String>, Series>)) {
        let series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        for metric in ALL {
            if let Some(all) = series.get(metric.name).filter(|all| !all.is_empty()) {
                show(metric, all);
            }
        }
    }

    /// Everything in Prometheus' text format (version 0.0.4). Metrics without a series are left out.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        self.each(|metric, all| {
            let help = metric.help.replace('\\', "\\\\").replace('\n', "\\n");
            let _ = writeln!(text, "# HELP {} {help}\n# TYPE {} {}", metric.name, metric.name, metric.kind.word());
            for (labels, one) in all {
                match one {
                    Series::Value(value) if value.is_nan() => {}
                    Series::Value(value) => line(&mut text, "", metric, labels, None, *value),
                    Series::Histogram { below, sum, count } => {
                        let MetricKind::Histogram(edges) = metric.kind else { return };
                        for (edge, n) in edges.iter().zip(below) {
                            line(&mut text, "_bucket", metric, labels, Some(&number(*edge)), *n as f64);
                        }
                        line(&mut text, "_bucket", metric, labels, Some("+Inf"), *count as f64);
                        line(&mut text, "_sum", metric, labels, None, *sum);
                        line(&mut text, "_count", metric, labels, None, *count as f64);
                    }
                }
            }
        });
        text
    }
}

fn line(text: &mut String, suffix: &str, metric: &Metric, labels: &[String], edge: Option<&str>, value: f64) {
    text.push_str(metric.name);
    text.push_str(suffix);
    let mut pairs: Vec<String> =
        metric.labels.iter().zip(labels).map(|(name, value)| format!("{name}=\"{}\"", escape(value))).collect();
    pairs.extend(edge.map(|edge| format!("le=\"{edge}\"")));
    if !pairs.is_empty() {
        let _ = write!(text, "{{{}}}", pairs.join(","));
    }
    let _ = writeln!(text, " {}", number(value));
}

/// A label's value as the format wants it.
fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn number(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    format!("{value}")
}

#[cfg(test)]
mod tests {
    use super::super::names::{RUN_SECONDS_HISTOGRAM, RUNS, TABLE_FILES};
    use super::*;

    #[test]
    fn should_write_what_prometheus_reads() {
        let registry = Registry::default();
        registry.set(&TABLE_FILES, &["db.\"odd\\\nname\""], 3.0);
        registry.set(&TABLE_FILES, &["db.a"], 1.0);
        registry.add(&RUNS, &["compact", "committed"], 1.0);
        registry.add(&RUNS, &["compact", "committed"], 1.0);
        registry.observe(&RUN_SECONDS_HISTOGRAM, &["compact"], 0.5);
        registry.observe(&RUN_SECONDS_HISTOGRAM, &["compact"], 1e9);
        let text = registry.encode();
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("# HELP")).collect();
        let expected = [
            "# TYPE icewright_table_files gauge",
            r#"icewright_table_files{table="db.\"odd\\\nname\""} 3"#,
            r#"icewright_table_files{table="db.a"} 1"#,
            "# TYPE icewright_runs_total counter",
            r#"icewright_runs_total{operation="compact",status="committed"} 2"#,
            "# TYPE icewright_run_duration_seconds histogram",
            r#"icewright_run_duration_seconds_bucket{operation="compact",le="0.1"} 0"#,
            r#"icewright_run_duration_seconds_bucket{operation="compact",le="0.5"} 1"#,
        ];
        assert_eq!(lines[..expected.len()], expected, "{text}");
        let end = [
            r#"icewright_run_duration_seconds_bucket{operation="compact",le="+Inf"} 2"#,
            r#"icewright_run_duration_seconds_sum{operation="compact"} 1000000000.5"#,
            r#"icewright_run_duration_seconds_count{operation="compact"} 2"#,
        ];
        assert_eq!(lines[lines.len() - end.len()..], end, "{text}");
    }

    #[test]
    fn should_forget_dropped_tables_and_leave_out_what_is_no_number() {
        let registry = Registry::default();
        registry.set(&TABLE_FILES, &["db.a"], 1.0);
        registry.set(&TABLE_FILES, &["db.b"], f64::NAN);
        registry.retain(&TABLE_FILES, |table| table != "db.a");
        assert!(!registry.encode().contains("db."), "{}", registry.encode());
        assert_eq!(registry.value(&TABLE_FILES, &["db.a"]), None);
    }
}
