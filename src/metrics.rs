//! Figures for monitoring: counters and histograms that live where the thing happens, and the page that tells them.
//!
//! A page is written in the text format of OpenMetrics. Prometheus' older format 0.0.4, which promtool and `curl` are given,
//! is the same but for the names of counters in the lines that describe them, the units, and the end mark.

use std::fmt;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Metric, Registry};

pub(crate) use prometheus_client::metrics::counter::Counter;
pub(crate) use prometheus_client::metrics::histogram::Histogram;

/// Names and values. A value is one of few that are known before: never a path, a subject or a query.
pub(crate) type Labels = Vec<(&'static str, String)>;

/// Counters by their labels.
pub(crate) type LabelledCounts = Family<Labels, Counter>;

/// Figures that go up and down, by their labels.
pub(crate) type LabelledGauges = Family<Labels, Gauge<f64, AtomicU64>>;

/// Histograms by their labels.
pub(crate) type LabelledHistograms = Family<Labels, Histogram, fn() -> Histogram>;

/// The labels of a metric that has one.
pub(crate) fn label(name: &'static str, value: impl fmt::Display) -> Labels {
    vec![(name, value.to_string())]
}

/// The two text formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PageFormat {
    /// Prometheus' text format 0.0.4.
    Text,
    OpenMetrics,
}

impl PageFormat {
    /// The format that a request's `Accept` asks for.
    pub(crate) fn accepted(accept: &str) -> Self {
        if accept.contains("application/openmetrics-text") {
            PageFormat::OpenMetrics
        } else {
            PageFormat::Text
        }
    }

    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            PageFormat::Text => "text/plain; version=0.0.4; charset=utf-8",
            PageFormat::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// One answer: every figure that is known at this moment. What is not known is not there.
#[derive(Debug, Default)]
pub(crate) struct MetricsPage {
    registry: Registry,
}

impl MetricsPage {
    pub(crate) fn gauge(&mut self, name: &str, help: &str, value: impl Into<Option<f64>>) {
        if let Some(value) = value.into() {
            let gauge = Gauge::<f64, AtomicU64>::default();
            gauge.set(value);
            self.add(name, help, gauge);
        }
    }

    pub(crate) fn gauges(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels, f64)>,
    ) {
        let family = LabelledGauges::default();
        let mut known = false;
        for (labels, value) in samples {
            family.get_or_create(&labels).set(value);
            known = true;
        }
        if known {
            self.add(name, help, family);
        }
    }

    /// `name` is without `_total`.
    pub(crate) fn count(&mut self, name: &str, help: &str, value: u64) {
        let counter: Counter = Counter::default();
        counter.inc_by(value);
        self.add(name, help, counter);
    }

    /// `name` is without `_total`.
    pub(crate) fn counts(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels, u64)>,
    ) {
        let family = LabelledCounts::default();
        let mut known = false;
        for (labels, value) in samples {
            family.get_or_create(&labels).inc_by(value);
            known = true;
        }
        if known {
            self.add(name, help, family);
        }
    }

    /// Adds what lives elsewhere. The name of a counter is without `_total`.
    pub(crate) fn add(&mut self, name: &str, help: &str, metric: impl Metric) {
        self.registry
            .register(format!("docent_{name}"), help, metric);
    }

    pub(crate) fn text(&self, format: PageFormat) -> Result<String, fmt::Error> {
        let mut page = String::new();
        encode(&mut page, &self.registry)?;
        Ok(match format {
            PageFormat::OpenMetrics => page,
            PageFormat::Text => older(&page),
        })
    }
}

/// The same page in the text format 0.0.4, where a counter is described under the name that its samples have.
fn older(page: &str) -> String {
    let mut text = String::with_capacity(page.len());
    let mut help = None;
    for line in page.lines() {
        if line == "# EOF" || line.starts_with("# UNIT ") {
            continue;
        }
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ');
            continue;
        }
        let described = line.strip_prefix("# TYPE ").and_then(|d| d.split_once(' '));
        if let Some((name, kind)) = described {
            let total = if kind == "counter" { "_total" } else { "" };
            if let Some((_, help)) = help.take() {
                text.push_str(&format!("# HELP {name}{total} {help}\n"));
            }
            text.push_str(&format!("# TYPE {name}{total} {kind}\n"));
        } else {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_ends_in_total_once_in_both_formats_and_what_is_unknown_is_not_there() {
        let mut page = MetricsPage::default();
        page.counts("things", "Things", [(label("kind", "a \"b\""), 3)]);
        page.gauge("unknown", "Not known", None);
        page.gauge("size_bytes", "Size", 1.5);
        let text = page.text(PageFormat::Text).unwrap();
        assert_eq!(
            text,
            "# HELP docent_things_total Things.\n# TYPE docent_things_total counter\n\
             docent_things_total{kind=\"a \\\"b\\\"\"} 3\n\
             # HELP docent_size_bytes Size.\n# TYPE docent_size_bytes gauge\ndocent_size_bytes 1.5\n"
        );
        let newer = page.text(PageFormat::OpenMetrics).unwrap();
        assert!(newer.contains("# TYPE docent_things counter\n"), "{newer}");
        assert!(newer.contains("docent_things_total{"), "{newer}");
        assert!(newer.ends_with("# EOF\n"), "{newer}");
    }

    #[test]
    fn the_older_format_unless_the_other_is_asked_for() {
        assert_eq!(PageFormat::accepted("*/*"), PageFormat::Text);
        let prometheus =
            "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5";
        assert_eq!(PageFormat::accepted(prometheus), PageFormat::OpenMetrics);
    }
}
