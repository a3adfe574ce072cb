//! What was worked out of a record's values.
//!
//! Most records of a template have values of the same types and sizes, and few of these differ from
//! one record to the next. The others make the header of the event: they stand in one or two
//! stretches, which are compared as a whole and not read again.

use super::plan::{EventPlan, Part, Payload, Text};
use super::value::Value;
use crate::base::bytes::u16_at;
use crate::event::Header;
use crate::evtx::binxml::{NO_DEPENDENCY, value};
use std::ops::Range;
use std::sync::Arc;

/// The shapes that are at hand: records of a template come with and without an account, or an
/// activity.
pub(super) const MOST_SHAPES: usize = 32;
/// The headers of a shape that are at hand, by the last digits of the event ID: two each, as a stop
/// has one level if it succeeded and another if it failed.
const HEADERS: usize = 128;

/// How the values of a template's records are laid out. Offsets count from the first value.
#[derive(Debug)]
pub(super) struct Shape {
    template: usize,
    /// The descriptors. The last is the nested template's, of any size.
    descriptors: Vec<u8>,
    pub(super) places: Places,
    /// Where those stand that make a header.
    of_header: Vec<Range<usize>>,
    /// The event ID among them.
    event_id: usize,
    headers: Vec<[Option<Known>; 2]>,
}

/// A header and what it was made of.
#[derive(Clone, Debug)]
struct Known {
    nested: usize,
    bytes: Vec<u8>,
    header: Arc<Header>,
}

/// Where the values stand that differ from record to record.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Places {
    pub(super) time: usize,
    pub(super) record_id: usize,
    pub(super) process: Option<usize>,
    pub(super) thread: Option<usize>,
    pub(super) activity: Option<usize>,
    pub(super) nested: usize,
}

impl Shape {
    /// The shape of a record with these values; nothing if it is not one that is worth knowing.
    pub(super) fn of(
        template: usize,
        plan: &EventPlan,
        descriptors: &[u8],
        values: &[Value],
    ) -> Option<Shape> {
        let first = values.first()?.at;
        let offset = |value: &Value| (value.at - first) as usize;
        let present = |place: u16| {
            let value = values.get(usize::from(place));
            value.filter(|value| value.kind != value::NULL)
        };
        let (nested, before) = values.split_last()?;
        match plan.payload {
            Payload::Nested(place) if usize::from(place) == before.len() => {}
            _ => return None,
        }
        let mut places = Places {
            nested: offset(nested),
            ..Places::default()
        };
        let mut of_header: Vec<Range<usize>> = Vec::new();
        let mut event_id = 0;
        let mut accounts = 0;
        for step in &plan.system {
            if step.dependency != NO_DEPENDENCY && present(step.dependency).is_none() {
                continue;
            }
            let place = |place: u16| present(place).map(offset);
            let in_header = match &step.part {
                Part::Time(at) => {
                    places.time = place(*at)?;
                    continue;
                }
                Part::RecordId(at) => {
                    let value = present(*at).filter(|value| value.kind == value::UINT64);
                    places.record_id = offset(value?);
                    continue;
                }
                Part::Activity(at) => {
                    places.activity = place(*at);
                    continue;
                }
                Part::Execution { process, thread } => {
                    places.process = process.and_then(place);
                    places.thread = thread.and_then(place);
                    continue;
                }
                Part::Provider(Ok(_))
                | Part::Channel(Text::Literal(_))
                | Part::Computer(Text::Literal(_)) => continue,
                Part::EventId(at) => {
                    event_id = place(*at)?;
                    *at
                }
                Part::Provider(Err(at))
                | Part::Channel(Text::Value(at))
                | Part::Computer(Text::Value(at))
                | Part::Version(at)
                | Part::Level(at)
                | Part::Task(at)
                | Part::Opcode(at)
                | Part::Keywords(at)
                | Part::User(at) => *at,
            };
            if let Some(value) = present(in_header) {
                accounts += usize::from(value.kind == value::SID);
                of_header.push(offset(value)..offset(value) + usize::from(value.length));
            }
        }
        // The size of a SID is in itself: one that is not compared would have to be looked at.
        let sids = before.iter().filter(|value| value.kind == value::SID);
        if sids.count() != accounts {
            return None;
        }
        of_header.sort_by_key(|range| range.start);
        of_header.dedup_by(|next, range| {
            let follows = next.start == range.end;
            if follows {
                range.end = next.end;
            }
            follows
        });
        Some(Shape {
            template,
            descriptors: descriptors.to_vec(),
            places,
            of_header,
            event_id,
            headers: Vec::new(),
        })
    }

    /// Whether it is that of a template's record with these descriptors.
    pub(super) fn fits(&self, template: usize, descriptors: &[u8]) -> bool {
        self.template == template && parts(&self.descriptors) == parts(descriptors)
    }

    /// The header of a record with these values and a nested instance of this template, if it is
    /// known.
    pub(super) fn header(&self, values: &[u8], nested: usize) -> Option<&Arc<Header>> {
        let mut known = self.headers.get(self.place(values)?)?.iter().flatten();
        let known = known.find(|known| known.nested == nested && self.made(known, values))?;
        Some(&known.header)
    }

    /// Whether a header was made of the same values.
    fn made(&self, known: &Known, values: &[u8]) -> bool {
        let mut bytes = known.bytes.as_slice();
        self.of_header.iter().all(|range| {
            let rest = values
                .get(range.clone())
                .and_then(|here| bytes.strip_prefix(here));
            bytes = rest.unwrap_or_default();
            rest.is_some()
        })
    }

    pub(super) fn learn(&mut self, values: &[u8], nested: usize, header: &Arc<Header>) {
        let mut bytes = Vec::new();
        for range in &self.of_header {
            bytes.extend_from_slice(values.get(range.clone()).unwrap_or_default());
        }
        self.headers.resize_with(HEADERS, Default::default);
        let place = self.place(values);
        if let Some([first, second]) = place.and_then(|place| self.headers.get_mut(place)) {
            *second = first.take();
            *first = Some(Known {
                nested,
                bytes,
                header: Arc::clone(header),
            });
        }
    }

    /// Where the header of a record with these values would stand.
    fn place(&self, values: &[u8]) -> Option<usize> {
        Some(usize::from(u16_at(values, self.event_id)?) % HEADERS)
    }
}

/// Descriptors but for the size in the last.
fn parts(descriptors: &[u8]) -> Option<(&[u8], [u8; 2])> {
    let (before, [_, _, kind, other]) = descriptors.split_last_chunk()?;
    Some((before, [*kind, *other]))
}
