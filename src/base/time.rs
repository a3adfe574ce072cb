//! Time as Windows counts it, and as reports show it.

use chrono::{DateTime, Datelike, Timelike, Utc};
use serde::{Serialize, Serializer};
use std::fmt;

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

/// A time in UTC, to 100 ns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub DateTime<Utc>);

impl Time {
    /// `YYYY-MM-DDThh:mm:ss.fffffffZ`; nothing of a year with more than four digits.
    pub(crate) fn digits(self) -> Option<[u8; 28]> {
        let mut digits = [0; 28];
        *digits.first_chunk_mut()? = self.second()?;
        // A leap second shows as nanoseconds beyond the second.
        *digits.last_chunk_mut()? = fraction(self.0.nanosecond() % 1_000_000_000 / 100);
        Some(digits)
    }

    /// `YYYY-MM-DDThh:mm:ss.`
    pub(crate) fn second(self) -> Option<[u8; 20]> {
        let (date, time) = (self.0.naive_utc().date(), self.0.naive_utc().time());
        let year = u32::try_from(date.year()).ok();
        let year = year.filter(|year| *year < 10_000)?;
        let seconds = time.num_seconds_from_midnight();
        let [[a, b], [c, d]] = [year / 100, year % 100].map(two_digits);
        let [[e, f], [g, h]] = [date.month(), date.day()].map(two_digits);
        let [[i, j], [k, l], [m, n]] =
            [seconds / 3600, seconds / 60 % 60, seconds % 60].map(two_digits);
        Some([
            a, b, c, d, b'-', e, f, b'-', g, h, b'T', i, j, b':', k, l, b':', m, n, b'.',
        ])
    }
}

/// `fffffffZ`, of units of 100 ns.
pub(crate) fn fraction(ticks: u32) -> [u8; 8] {
    let [[a, b], [c, d], [e, f], [_, g]] = [
        ticks / 100_000,
        ticks / 1000 % 100,
        ticks / 10 % 100,
        ticks % 10,
    ]
    .map(two_digits);
    [a, b, c, d, e, f, g, b'Z']
}

fn two_digits(number: u32) -> [u8; 2] {
    [number / 10, number % 10].map(|digit| b'0' + digit as u8)
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.digits() {
            Some(digits) => f.write_str(str::from_utf8(digits).map_err(|_| fmt::Error)?),
            None => {
                let ticks = self.0.nanosecond() % 1_000_000_000 / 100;
                let (year, month, day) = (self.0.year(), self.0.month(), self.0.day());
                let (hour, minute, second) = (self.0.hour(), self.0.minute(), self.0.second());
                write!(
                    f,
                    "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ticks:07}Z"
                )
            }
        }
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.digits().as_ref().map(|digits| str::from_utf8(digits)) {
            Some(Ok(digits)) => serializer.serialize_str(digits),
            _ => serializer.collect_str(self),
        }
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

    #[test]
    fn a_time_has_seven_digits_whatever_it_is() {
        for time in [
            "0000-01-01T00:00:00.0000000Z",
            "0009-10-02T03:40:05.0600007Z",
            "2026-02-28T19:08:07.1234567Z",
            "2016-12-31T23:59:60.9999999Z",
            "9999-12-31T23:59:59.9999999Z",
            "+10000-01-01T00:00:00.0000001Z",
        ] {
            let shown = Time(
                DateTime::parse_from_rfc3339(time)
                    .unwrap_or_else(|_| time.parse().unwrap())
                    .into(),
            );
            let expected = time.trim_start_matches('+').replace(":60.", ":59.");
            assert_eq!(shown.to_string(), expected);
            assert_eq!(serde_json::to_value(shown).unwrap(), expected);
        }
    }
}
