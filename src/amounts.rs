//! Numbers, durations and sizes as people read them: rounded, where [`config`](crate::config) writes them exactly.

/// `n` with its thousands apart.
pub(crate) fn number(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

pub(crate) fn counted(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", number(n), if n == 1 { one } else { many })
}

/// A duration in seconds, to about two digits.
pub(crate) fn duration(seconds: f64) -> String {
    // Ages are below 2^53 s and not negative, so nothing is lost.
    let whole = seconds.max(0.0) as u64;
    let (days, hours, minutes) = (whole / 86_400, whole / 3600 % 24, whole / 60 % 60);
    match whole {
        0..10 => format!("{:.1}s", seconds.max(0.0)),
        10..60 => format!("{whole}s"),
        60..3600 => format!("{minutes}m {}s", whole % 60),
        3600..86_400 => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}

/// A size in bytes, to about two digits.
pub(crate) fn size(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    // Below 2^53, or rounded anyway.
    let mut amount = bytes as f64 / 1024.0;
    let mut unit = 0;
    while amount >= 1023.5 && unit + 1 < units.len() {
        amount /= 1024.0;
        unit += 1;
    }
    match amount < 9.95 {
        true => format!("{amount:.1} {}", units[unit]),
        false => format!("{amount:.0} {}", units[unit]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_durations_read_well() {
        assert_eq!(
            [0, 999, 1000, 1_234_567].map(number),
            ["0", "999", "1,000", "1,234,567"]
        );
        assert_eq!(counted(1, "file", "files"), "1 file");
        assert_eq!(counted(1200, "file", "files"), "1,200 files");
        let seconds = [0.25, 42.9, 61.0, 3700.0, 90_000.0, -1.0];
        assert_eq!(
            seconds.map(duration),
            ["0.2s", "42s", "1m 1s", "1h 1m", "1d 1h", "0.0s"]
        );
    }

    #[test]
    fn sizes_read_well() {
        let sizes = [0, 1023, 1024, 10 * 1024, 1024 * 1024 - 1, 5_905_580_032];
        assert_eq!(
            sizes.map(size),
            ["0 B", "1023 B", "1.0 KiB", "10 KiB", "1.0 MiB", "5.5 GiB"]
        );
        assert_eq!(size(u64::MAX), "16777216 TiB");
    }
}
