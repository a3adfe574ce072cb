//! The values of events.

use crate::event::secret;
use std::collections::HashMap;
use std::num::NonZeroU32;
use std::ops::Range;
use uuid::Uuid;

/// The values of a chunk's events: they stand in one text, the same ones once, so that an event
/// costs hardly more than what is its own.
#[derive(Debug, Default)]
pub(crate) struct Values {
    text: String,
    places: Places,
    activities: Vec<Uuid>,
}

/// Where each value stands.
#[derive(Debug)]
enum Places {
    /// Its start and its length in one number: in nearly any chunk.
    Packed(Vec<u32>),
    Wide(Vec<Place>),
}

/// Where a value starts and ends in the text. What a chunk renders to is far below 4 GiB.
pub(crate) type Place = (u32, u32);

/// What no value holds. It keeps values apart that are looked through at once.
const END_OF_VALUE: u8 = 0;

/// The bits of a packed place that are the length.
const LENGTH_BITS: u32 = 14;

impl Default for Places {
    fn default() -> Places {
        Places::Packed(Vec::new())
    }
}

impl Places {
    fn of(places: &[Place]) -> Places {
        let fits = |(start, end): &Place| {
            *start < 1 << (u32::BITS - LENGTH_BITS) && end - start < 1 << LENGTH_BITS
        };
        let packed = places.iter();
        let packed = packed.map(|(start, end)| start << LENGTH_BITS | (end - start));
        match places.iter().all(fits) {
            // In as much room as they take.
            true => Places::Packed(packed.collect()),
            false => Places::Wide(places.to_vec()),
        }
    }

    #[inline]
    fn get(&self, number: usize) -> Option<Range<usize>> {
        let (start, length) = match self {
            Places::Packed(places) => {
                let place = places.get(number)?;
                (place >> LENGTH_BITS, place & ((1 << LENGTH_BITS) - 1))
            }
            Places::Wide(places) => {
                let (start, end) = places.get(number)?;
                (*start, end - start)
            }
        };
        Some(start as usize..(start + length) as usize)
    }
}

impl Values {
    #[inline]
    pub(super) fn get(&self, number: usize) -> Option<&str> {
        self.text.get(self.places.get(number)?)
    }

    /// An activity by its number, from 1.
    pub(super) fn activity(&self, number: NonZeroU32) -> Option<Uuid> {
        self.activities.get(number.get() as usize - 1).copied()
    }
}

/// The values of a chunk's events while they are decoded.
#[derive(Debug, Default)]
pub(crate) struct Collector {
    /// What is appended to it is UTF-8.
    text: Vec<u8>,
    /// Where the next value starts.
    start: usize,
    places: Vec<Place>,
    activities: Vec<Uuid>,
}

/// How many values there were at some time, and the size of their text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark(usize, usize);

impl Collector {
    /// The text, to which the next value is appended.
    pub(crate) fn text(&mut self) -> &mut Vec<u8> {
        &mut self.text
    }

    /// What was appended is a value.
    pub(crate) fn end_value(&mut self) -> Place {
        let place = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        let place = (place(self.start), place(self.text.len()));
        self.places.push(place);
        self.text.push(END_OF_VALUE);
        self.start = self.text.len();
        place
    }

    /// The next value is one that is there.
    pub(crate) fn again(&mut self, place: Place) {
        self.places.push(place);
    }

    /// What was appended is nothing of the next value, which is this.
    pub(crate) fn end_masked(&mut self) {
        self.text.truncate(self.start);
        self.text.extend_from_slice(secret::MASK.as_bytes());
        self.end_value();
    }

    /// The number of the next value.
    pub(crate) fn next(&self) -> u32 {
        u32::try_from(self.places.len()).unwrap_or(u32::MAX)
    }

    /// The number of an activity: most often it is that of the event before.
    #[inline]
    pub(super) fn activity(&mut self, id: Uuid) -> Option<NonZeroU32> {
        if self.activities.last() != Some(&id) {
            self.activities.push(id);
        }
        NonZeroU32::new(u32::try_from(self.activities.len()).ok()?)
    }

    /// What there is now.
    pub(crate) fn mark(&self) -> Mark {
        Mark(self.places.len(), self.start)
    }

    /// Takes back all values that came after. Activities may stay: no other has their number.
    pub(crate) fn take_back(&mut self, Mark(values, text): Mark) {
        self.places.truncate(values);
        self.text.truncate(text);
        self.start = text;
    }

    /// Takes the values out, with every token in them masked, and leaves room for the next ones.
    pub(crate) fn collected(&mut self) -> Values {
        // Copies take no more room than what is in them, and the next ones need not grow.
        // It is UTF-8; this shows it.
        let text = String::from_utf8(self.text.clone())
            .unwrap_or_else(|text| String::from_utf8_lossy(text.as_bytes()).into_owned());
        // Hardly any chunk has something to mask.
        let text = match secret::may_hold_secret(&text) {
            true => self.masked(&text),
            false => text,
        };
        let values = Values {
            text,
            places: Places::of(&self.places),
            activities: self.activities.clone(),
        };
        self.take_back(Mark(0, 0));
        self.activities.clear();
        values
    }

    /// The text with every token in it masked, where the values now stand elsewhere.
    fn masked(&mut self, text: &str) -> String {
        let mut masked = String::with_capacity(text.len());
        // Where each text started, and where it stands now.
        let mut moved: HashMap<u32, Place> = HashMap::new();
        let mut start = 0_u32;
        for value in text.split(char::from(END_OF_VALUE)) {
            let place = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
            let now = place(masked.len());
            masked.push_str(&secret::mask(value));
            moved.insert(start, (now, place(masked.len())));
            masked.push(char::from(END_OF_VALUE));
            start = start.saturating_add(place(value.len() + 1));
        }
        for place in &mut self.places {
            *place = moved.get(&place.0).copied().unwrap_or_default();
        }
        masked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collected(texts: &[&str]) -> Values {
        let mut values = Collector::default();
        for text in texts {
            values.text().extend_from_slice(text.as_bytes());
            values.end_value();
        }
        values.collected()
    }

    #[test]
    fn values_are_found_whatever_their_length_and_place() {
        let (short, long) = ("contoso.com", "x-".repeat(1 << 13));
        let far = vec!["between"; 1 << 15];
        let wide = |values: &Values| matches!(values.places, Places::Wide(_));
        for (texts, is_wide) in [
            (vec![short, "", short], false),
            // As long as a packed one may be, and a letter longer.
            (vec![short, &long[1..], short], false),
            (vec![short, &long, short], true),
            (far, false),
            ([vec!["between"; 1 << 15], vec![short]].concat(), true),
        ] {
            let values = collected(&texts);
            assert_eq!(wide(&values), is_wide);
            let found: Vec<&str> = (0..texts.len()).filter_map(|at| values.get(at)).collect();
            assert_eq!(found, texts);
            assert_eq!(values.get(texts.len()), None);
        }
    }

    #[test]
    fn a_mask_moves_what_stands_behind_it() {
        let values = collected(&["before", "access_token=abcdefgh", "behind"]);
        let found: Vec<&str> = (0..3).filter_map(|at| values.get(at)).collect();
        assert_eq!(found, ["before", "access_token=[masked]", "behind"]);
    }

    #[test]
    fn an_activity_that_goes_on_is_held_once() {
        let (a, b) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let mut values = Collector::default();
        let numbers: Vec<NonZeroU32> = [a, a, b, a].map(|id| values.activity(id).unwrap()).into();
        let values = values.collected();
        let found: Vec<Uuid> = numbers
            .iter()
            .filter_map(|of| values.activity(*of))
            .collect();
        assert_eq!(found, [a, a, b, a]);
        assert_eq!(values.activities.len(), 3);
    }
}
