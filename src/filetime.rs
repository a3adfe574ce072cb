//! Time as Windows counts it.

use chrono::{DateTime, Utc};

/// 1601-01-01 to 1970-01-01 in seconds.
const UNIX_EPOCH: i64 = 11_644_473_600;
/// What a FILETIME counts in a second.
const TICKS: i64 = 10_000_000;

/// Units of 100 ns since 1601.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Filetime(i64);

impl Filetime {
    /// 9999-12-30T00:00:00Z. The times that the evtx crate knows end in the evening of that day.
    const LATEST: Filetime = Filetime(2_650_466_016_000_000_000);

    /// Nothing if it is later than the latest.
    pub(crate) fn from_ticks(ticks: u64) -> Option<Filetime> {
        let time = Filetime(i64::try_from(ticks).ok()?);
        (time <= Filetime::LATEST).then_some(time)
    }

    /// The whole seconds since 1601, and what is beyond them in units of 100 ns.
    pub(crate) fn seconds(self) -> (i64, u32) {
        (self.0.div_euclid(TICKS), self.0.rem_euclid(TICKS) as u32)
    }

    pub(crate) fn time(self) -> DateTime<Utc> {
        let (seconds, ticks) = self.seconds();
        // There are less of both than a time has room for.
        DateTime::from_timestamp(seconds - UNIX_EPOCH, ticks * 100).unwrap_or_default()
    }
}

impl From<DateTime<Utc>> for Filetime {
    fn from(time: DateTime<Utc>) -> Filetime {
        let seconds = time.timestamp().saturating_add(UNIX_EPOCH);
        // No FILETIME counts a leap second, which goes on beyond the second before it: as the end
        // of that one it still comes before all that followed.
        let ticks = i64::from(time.timestamp_subsec_nanos() / 100).min(TICKS - 1);
        Filetime(seconds.saturating_mul(TICKS).saturating_add(ticks))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filetime_is_the_time_that_windows_means() {
        for (ticks, time) in [
            (0, "1601-01-01T00:00:00Z"),
            (116_444_736_000_000_000, "1970-01-01T00:00:00Z"),
            (133_485_408_000_000_001, "2024-01-01T00:00:00.0000001Z"),
            (2_650_466_016_000_000_000, "9999-12-30T00:00:00Z"),
        ] {
            let time: DateTime<Utc> = time.parse().unwrap();
            let filetime = Filetime::from_ticks(ticks).unwrap();
            assert_eq!(filetime.time(), time);
            assert_eq!(Filetime::from(time), filetime);
        }
        for ticks in [2_650_466_016_000_000_001, u64::MAX] {
            assert_eq!(Filetime::from_ticks(ticks), None);
        }
    }

    #[test]
    fn a_time_that_no_filetime_reaches_stays_in_its_place() {
        // Only text in a template says so.
        let early: DateTime<Utc> = "0001-02-03T04:05:06.7Z".parse().unwrap();
        assert_eq!(Filetime::from(early).time(), early);
        assert!(Filetime::from(early) < Filetime(0));
    }

    #[test]
    fn times_that_only_text_has_keep_their_order() {
        // Finer than a FILETIME, before the first one and within a leap second.
        for (time, ticks) in [
            ("1600-12-31T23:59:59.99999995Z", -1),
            ("1601-01-01T00:00:00.000000099Z", 0),
            ("2016-12-31T23:59:59.9999999Z", 131_277_023_999_999_999),
            ("2016-12-31T23:59:60.5Z", 131_277_023_999_999_999),
            ("2017-01-01T00:00:00.0000001Z", 131_277_024_000_000_001),
        ] {
            let time: DateTime<Utc> = time.parse().unwrap();
            assert_eq!(Filetime::from(time), Filetime(ticks));
        }
    }
}
