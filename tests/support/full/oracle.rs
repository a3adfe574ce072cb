//! What a full parse says of a chunk, to hold the selection and the decoding against.
//!
//! The full parse reads every record of the untouched chunk with the evtx crate. Its XML is read
//! here by a reader of its own, so that a mistake of `prtrace::evtx::record` does not show on both sides.

use evtx::{EvtxChunk, EvtxChunkHeader, ParserSettings};
use prtrace::evtx::chunk::{self, Slot, Span};
use prtrace::evtx::record;
use prtrace::evtx::select;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// What a record's XML is and whom it names.
pub struct Full {
    pub xml: String,
    pub tree: Option<Element>,
    pub provider: Option<Named>,
}

/// The XML of every record that could be decoded, by the record's offset.
type ByOffset = BTreeMap<usize, String>;

/// An element of a record's XML.
#[derive(Debug, Default)]
pub struct Element {
    pub name: String,
    pub attributes: Vec<(String, String)>,
    pub children: Vec<Element>,
    /// All text in it, also that of its children.
    pub text: String,
}

impl Element {
    pub fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }

    pub fn attribute(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// A record's XML as a tree; nothing if it is no XML.
pub fn tree(xml: &str) -> Option<Element> {
    use quick_xml::events::Event;
    let mut reader = quick_xml::Reader::from_str(xml);
    let mut open = vec![Element::default()];
    let element = |start: &quick_xml::events::BytesStart<'_>| {
        let mut attributes = Vec::new();
        for attribute in start.attributes().with_checks(false) {
            // What follows a malformed attribute can't be read.
            let Ok(attribute) = attribute else { break };
            // A value that can't be resolved is as good as none.
            if let Ok(value) = quick_xml::escape::unescape(&attribute.value) {
                attributes.push((attribute.key.as_ref().to_owned(), value.into_owned()));
            }
        }
        Element {
            name: start.local_name().as_ref().to_owned(),
            attributes,
            ..Element::default()
        }
    };
    loop {
        let (start, empty) = match reader.read_event().ok()? {
            Event::Start(start) => (start, false),
            Event::Empty(start) => (start, true),
            Event::End(_) => {
                let ended = open.pop()?;
                let parent = open.last_mut()?;
                parent.text.push_str(&ended.text);
                parent.children.push(ended);
                continue;
            }
            Event::Text(text) => {
                open.last_mut()?.text.push_str(&text);
                continue;
            }
            Event::CData(text) => {
                open.last_mut()?.text.push_str(&text);
                continue;
            }
            Event::GeneralRef(entity) => {
                let resolved = quick_xml::escape::unescape(&format!("&{};", &*entity))
                    .map_or_else(|_| format!("&{};", &*entity), |text| text.into_owned());
                open.last_mut()?.text.push_str(&resolved);
                continue;
            }
            Event::Eof => break,
            _ => continue,
        };
        let element = element(&start);
        match empty {
            true => open.last_mut()?.children.push(element),
            false => open.push(element),
        }
    }
    // What was never closed counts as far as it goes.
    while open.len() > 1 {
        let ended = open.pop()?;
        open.last_mut()?.children.push(ended);
    }
    open.pop()?.children.into_iter().next()
}

/// The provider that a record's XML names: the first in the first System part. The GUID speaks
/// where the name is missing or empty.
#[derive(Debug, PartialEq, Eq)]
pub enum Named {
    Name(String),
    Guid(String),
}

pub fn provider(event: &Element) -> Option<Named> {
    let provider = event.child("System")?.child("Provider")?;
    match provider.attribute("Name") {
        Some(name) if !name.is_empty() => Some(Named::Name(name.to_owned())),
        _ => provider.attribute("Guid").map(|guid| {
            let digits = guid.chars().filter(char::is_ascii_hexdigit);
            Named::Guid(digits.collect::<String>().to_lowercase())
        }),
    }
}

/// Names of providers, and the GUIDs of those that have one here.
pub struct Wanted<'a> {
    pub names: &'a [&'a str],
    pub guids: &'a [&'a str],
}

/// The providers that the report is about.
pub const OURS: Wanted<'static> = Wanted {
    names: &[
        "Microsoft-Windows-AAD",
        "Microsoft-Windows-User Device Registration",
    ],
    guids: &[
        "4de9bc9cb27a43c989940915f1a5e24f",
        "23b8d46b67dd40a3b636d43e50552c6d",
    ],
};

impl Wanted<'_> {
    pub fn is(&self, full: &Full) -> bool {
        match &full.provider {
            Some(Named::Name(name)) => self.names.contains(&name.as_str()),
            Some(Named::Guid(guid)) => self.guids.contains(&guid.as_str()),
            None => false,
        }
    }
}

/// Parses a chunk's records with the evtx crate. The header says how far it walks.
fn parse(data: &[u8], header: &EvtxChunkHeader) -> ByOffset {
    let settings = Arc::new(ParserSettings::new().indent(false));
    let mut found = ByOffset::new();
    let Ok(mut parsed) = EvtxChunk::new(data, header, settings) else {
        return found;
    };
    for record in parsed.iter().flatten() {
        let start = record.binxml_offset as usize - 24;
        if let Ok(xml) = record.into_xml() {
            found.insert(start, xml.data);
        }
    }
    found
}

/// The header of a full parse: it walks on to the chunk's end whatever the chunk's own header
/// says, and a damaged table of strings does not stop it.
fn whole(chunk: &[u8], records: &[Span]) -> Option<EvtxChunkHeader> {
    let mut start = chunk.get(..512)?.to_vec();
    start[128..384].fill(0);
    let mut header = EvtxChunkHeader::from_bytes(&start).ok()?;
    header.free_space_offset = chunk.len() as u32;
    header.first_event_record_id = 0;
    header.last_event_record_data_offset = chunk.len() as u32;
    let unused = |id: &u64| records.iter().all(|record| record.number != *id);
    header.last_event_record_id = (0..=u64::MAX).rev().find(unused)?;
    Some(header)
}

/// The full parse of a chunk's records.
fn full_parse(chunk: &[u8], records: &[Span]) -> BTreeMap<usize, Full> {
    let Some(header) = whole(chunk, records) else {
        return BTreeMap::new();
    };
    let mut full = parse(chunk, &header);
    full.retain(|start, _| records.iter().any(|record| record.start == *start));
    let read = |xml: String| {
        let tree = tree(&xml);
        let provider = tree.as_ref().and_then(provider);
        Full {
            xml,
            tree,
            provider,
        }
    };
    full.into_iter()
        .map(|(start, xml)| (start, read(xml)))
        .collect()
}

/// Counts over chunks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Records that the chunk walk finds.
    pub records: usize,
    /// Those that a full parse can decode.
    pub decoded: usize,
    /// Those of them that are of the wanted providers.
    pub ours: usize,
    /// Records that were selected.
    pub selected: usize,
    /// Selected records that a full parse decodes as another provider's.
    pub foreign: usize,
    /// Records of ours that only a full parse can decode: they are listed as undecodable.
    pub reported: usize,
    /// Selected records that covering changed: those that read beyond their own end, or whose
    /// template stands where another record's header is.
    pub changed: usize,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Counts) {
        self.records += other.records;
        self.decoded += other.decoded;
        self.ours += other.ours;
        self.selected += other.selected;
        self.foreign += other.foreign;
        self.reported += other.reported;
        self.changed += other.changed;
    }
}

/// As much of a chunk as a scan reads: its live part if the checksums agree, else all of it.
pub fn as_read(chunk: &[u8]) -> &[u8] {
    let end = chunk.get(48..52).map_or(0, |end| {
        u32::from_le_bytes([end[0], end[1], end[2], end[3]]) as usize
    });
    let live = chunk.get(..end).filter(|_| end >= 512).unwrap_or(chunk);
    match chunk::read(live) {
        Slot::Chunk(found) if !found.checksum_wrong => live,
        _ => chunk,
    }
}

/// A chunk of which the full parse is known.
pub struct Checked<'a> {
    chunk: &'a [u8],
    read: &'a [u8],
    pub records: Vec<Span>,
    pub full: BTreeMap<usize, Full>,
}

impl<'a> Checked<'a> {
    /// Nothing if a slot holds no chunk.
    pub fn new(chunk: &'a [u8]) -> Option<Checked<'a>> {
        let read = as_read(chunk);
        let Slot::Chunk(found) = chunk::read(read) else {
            return None;
        };
        let full = full_parse(chunk, &found.records);
        Some(Checked {
            chunk,
            read,
            records: found.records,
            full,
        })
    }

    /// Holds selection and covering against the full parse, for any providers.
    pub fn check(&self, wanted: &Wanted<'_>) -> Result<Counts, String> {
        let names = select::Names::new(wanted.names);
        let selected = select::wanted(self.read, &self.records, &names);
        let mut counts = Counts {
            records: self.records.len(),
            decoded: self.full.len(),
            selected: selected.len(),
            ..Counts::default()
        };
        let covered = self.covered(&selected);
        for record in &self.records {
            let is_selected = selected.contains(record);
            let Some(full) = self.full.get(&record.start) else {
                continue;
            };
            let ours = wanted.is(full);
            counts.ours += usize::from(ours);
            if ours && !is_selected {
                return Err(format!("left out: {record:?}: {}", full.xml));
            }
            if !is_selected {
                continue;
            }
            counts.foreign += usize::from(!ours);
            match covered.get(&record.start) {
                None => counts.reported += usize::from(ours),
                Some(xml) if *xml == full.xml => {}
                Some(_) => counts.changed += 1,
            }
        }
        Ok(counts)
    }

    /// The XML of the selected records with everything else covered.
    fn covered(&self, selected: &[Span]) -> ByOffset {
        let mut slot = self.read.to_vec();
        let Some(header) = record::cover(&mut slot, selected) else {
            return ByOffset::new();
        };
        let mut found = parse(&slot, &header);
        found.retain(|start, _| selected.iter().any(|record| record.start == *start));
        found
    }

    /// Decodes the selected records of our providers. Each must come out as an event, as foreign
    /// or as undecodable, and what comes out of others is not ours.
    pub fn decode(&self) -> Result<record::Decoded, String> {
        let selected = select::wanted(self.read, &self.records, select::Names::ours());
        let mut slot = self.read.to_vec();
        let mut names = record::Names::default();
        let decoded = record::decode(&mut slot, &selected, &mut names);

        // Records may share a number: then it is their count that must be right.
        let mut open: HashMap<u64, isize> = HashMap::new();
        for number in &decoded.numbers {
            *open.entry(*number).or_default() += 1;
        }
        for failed in &decoded.failed {
            *open.entry(failed.span.number).or_default() += 1;
        }
        for record in &selected {
            *open.entry(record.number).or_default() -= 1;
        }
        for (number, count) in open {
            let of_number = || selected.iter().filter(|record| record.number == number);
            let full = |record: &Span| self.full.get(&record.start);
            let foreign = of_number()
                .filter(|record| full(record).is_none_or(|full| !OURS.is(full)))
                .count() as isize;
            // What no full parse decodes may yet be decoded, and be foreign.
            if count > 0 || -count > foreign {
                return Err(format!("record {number} is unaccounted for: {count}"));
            }
        }
        for number in &decoded.numbers {
            let mut known = self
                .records
                .iter()
                .filter(|record| record.number == *number);
            let ours = known.any(|record| {
                let full = self.full.get(&record.start);
                full.is_none_or(|full| OURS.is(full))
            });
            if !ours {
                return Err(format!("record {number} is not ours"));
            }
        }
        Ok(decoded)
    }

    /// Holds what is decoded straight from the values against what comes out of the evtx crate's
    /// XML. Returns the number of events.
    pub fn agree(&self) -> Result<usize, String> {
        let selected = select::wanted(self.read, &self.records, select::Names::ours());
        let decode = |records: &[Span], through_xml: bool| {
            let (mut slot, mut names) = (self.read.to_vec(), record::Names::default());
            let decoded = match through_xml {
                true => record::decode_through_xml(&mut slot, records, &mut names),
                false => record::decode(&mut slot, records, &mut names),
            };
            (decoded.events.len(), format!("{decoded:#?}"))
        };
        let (events, found) = decode(&selected, false);
        if found == decode(&selected, true).1 {
            return Ok(events);
        }
        for record in &selected {
            // What reads on into other records reads something else where they are covered.
            let alone = std::slice::from_ref(record);
            let xml = self.covered(alone).remove(&record.start);
            if xml.is_none() || xml.as_ref() != self.full.get(&record.start).map(|full| &full.xml) {
                continue;
            }
            let ((_, found), (_, expected)) = (decode(alone, false), decode(alone, true));
            if found != expected {
                return Err(format!("{record:?}: {found} for {expected}"));
            }
        }
        Ok(events)
    }

    /// The untouched chunk.
    pub fn bytes(&self) -> &'a [u8] {
        self.chunk
    }
}
