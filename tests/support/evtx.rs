//! Writes Windows event logs (EVTX 3.1), so that tests need no log of a real machine.
//!
//! The records have the shape of real ones of the AAD and User Device Registration providers:
//! a System template of 18 substitution values (provider name 14, event ID 3, the computer a
//! literal) whose last value is a nested instance of an EventData template. A template is
//! defined where a chunk first uses it and referenced from there on, as are element names.
//! The same records always give the same bytes.

use std::collections::HashMap;

const FILE_HEADER: usize = 4096;
const CHUNK: usize = 65536;
const CHUNK_HEADER: usize = 512;
/// "This element depends on no value".
const NO_DEPENDENCY: u16 = 0xffff;
const NAMESPACE: &str = "http://schemas.microsoft.com/win/2004/08/events/event";
/// 1601-01-01 to 1970-01-01 in units of 100 ns.
pub const FILETIME_OF_UNIX_EPOCH: i64 = 116_444_736_000_000_000;

/// The types of the System template's values, by index: level, opcode, task, event ID,
/// qualifiers, keywords, time, activity, process, thread, record ID, version, user, related
/// activity, provider name, provider GUID, channel, EventData.
const SYSTEM_TYPES: [u8; 18] = [
    0x04, 0x04, 0x06, 0x06, 0x06, 0x15, 0x11, 0x0f, 0x08, 0x08, 0x0a, 0x04, 0x13, 0x0f, 0x01, 0x0f,
    0x01, 0x21,
];

/// A GUID in its binary order.
pub type Guid = [u8; 16];

/// One typed value of an event.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    Unicode(String),
    Ansi(String),
    UInt8(u8),
    UInt16(u16),
    Int32(i32),
    UInt32(u32),
    Int64(i64),
    UInt64(u64),
    Boolean(bool),
    Binary(Vec<u8>),
    Guid(Guid),
    /// Of a 64-bit machine.
    Pointer(u64),
    FileTime(u64),
    /// As text, `S-1-5-18`.
    Sid(String),
    HexInt32(u32),
    HexInt64(u64),
}

/// How a record is encoded; readers have to cope with all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// As the two providers really write: everything but the computer is a substitution value.
    Template,
    /// The provider's name and GUID are literals of the template; values 14 and 15 are null.
    LiteralProvider,
    /// No template at all: bare elements with literal text.
    Bare,
}

/// One event to write.
#[derive(Clone, Debug)]
pub struct Record {
    pub time_filetime: u64,
    pub record_id: u64,
    pub provider_name: String,
    pub provider_guid: Guid,
    pub event_id: u16,
    pub version: u8,
    pub level: u8,
    pub task: u16,
    pub opcode: u8,
    pub keywords: u64,
    pub channel: String,
    pub computer: String,
    /// Without process and thread there is no `Execution` element.
    pub process_id: Option<u32>,
    pub thread_id: Option<u32>,
    pub activity_id: Option<Guid>,
    pub user_sid: Option<String>,
    pub data: Vec<(String, Value)>,
    pub shape: Shape,
}

/// The bytes of a log with these records, in this order. Fails on a malformed SID and on values
/// that the format has no room for.
pub fn write_log(records: &[Record]) -> Result<Vec<u8>, String> {
    write_log_with_gap(records, &[])
}

/// The same, with these bytes before the first record of each chunk. No log should have any.
pub fn write_log_with_gap(records: &[Record], gap: &[u8]) -> Result<Vec<u8>, String> {
    let new_chunk = |number| {
        let mut chunk = new_chunk(number);
        chunk.bytes.extend(gap);
        chunk
    };
    let mut log = vec![0; FILE_HEADER];
    let mut chunk_count: u64 = 0;
    let mut chunk = new_chunk(1);
    for (record, number) in records.iter().zip(1..) {
        if !append(&mut chunk, record)? {
            log.extend(finish_chunk(chunk));
            chunk_count += 1;
            chunk = new_chunk(number);
            if !append(&mut chunk, record)? {
                let id = record.record_id;
                return Err(format!("record {id} is larger than a chunk"));
            }
        }
    }
    log.extend(finish_chunk(chunk));
    chunk_count += 1;

    let last_record_id = records.iter().map(|r| r.record_id).max().unwrap_or(0);
    put(&mut log, 0, b"ElfFile\0");
    put(&mut log, 16, &(chunk_count - 1).to_le_bytes()); // the last chunk
    let next_record_id = last_record_id.saturating_add(1);
    put(&mut log, 24, &next_record_id.to_le_bytes());
    put(&mut log, 32, &128_u32.to_le_bytes()); // bytes of the header in use
    put(&mut log, 36, &1_u16.to_le_bytes()); // version 3.1
    put(&mut log, 38, &3_u16.to_le_bytes());
    put(&mut log, 40, &(FILE_HEADER as u16).to_le_bytes());
    put(&mut log, 42, &(chunk_count as u16).to_le_bytes());
    let crc = crc32fast::hash(&log[..120]);
    put(&mut log, 124, &crc.to_le_bytes());
    Ok(log)
}

/// `{4de9bc9c-b27a-43c9-8994-0915f1a5e24f}`, with or without braces, in any case.
pub fn parse_guid(text: &str) -> Option<Guid> {
    let bare = text
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'))
        .unwrap_or(text);
    let parts: Vec<&str> = bare.split('-').collect();
    if parts.iter().map(|part| part.len()).ne([8, 4, 4, 4, 12])
        || !bare.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
    {
        return None;
    }
    let mut guid = u128::from_str_radix(&parts.concat(), 16)
        .ok()?
        .to_be_bytes();
    // The first three parts are little-endian numbers.
    guid[..4].reverse();
    guid[4..6].reverse();
    guid[6..8].reverse();
    Some(guid)
}

/// A GUID as Windows prints it.
pub fn guid_text(guid: &Guid) -> String {
    let mut ordered = *guid;
    ordered[..4].reverse();
    ordered[4..6].reverse();
    ordered[6..8].reverse();
    let hex = hex(&ordered);
    format!(
        "{{{}-{}-{}-{}-{}}}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
}

/// The binary form of `S-1-5-18`.
pub fn sid_bytes(text: &str) -> Option<Vec<u8>> {
    let mut parts = text.strip_prefix("S-1-")?.split('-');
    let authority: u64 = parts.next()?.parse().ok()?;
    let rest: Vec<u32> = parts.map(|part| part.parse().ok()).collect::<Option<_>>()?;
    if authority >> 48 != 0 || rest.len() > 15 {
        return None;
    }
    let mut bytes = vec![1, rest.len() as u8];
    bytes.extend(&authority.to_be_bytes()[2..]);
    bytes.extend(rest.iter().flat_map(|part| part.to_le_bytes()));
    Some(bytes)
}

/// A chunk being written. Offsets in the format count from the chunk's start, so its bytes
/// begin with the header, which is filled in at the end.
struct Chunk {
    bytes: Vec<u8>,
    first_number: u64,
    record_ids: Vec<u64>,
    last_record: usize,
    /// Where each name and each template definition stands.
    names: HashMap<String, u32>,
    templates: HashMap<String, u32>,
}

fn new_chunk(first_number: u64) -> Chunk {
    Chunk {
        bytes: vec![0; CHUNK_HEADER],
        first_number,
        record_ids: Vec::new(),
        last_record: 0,
        names: HashMap::new(),
        templates: HashMap::new(),
    }
}

/// Appends a record; false, and nothing changed, if the chunk has no room for it.
fn append(chunk: &mut Chunk, record: &Record) -> Result<bool, String> {
    let start = chunk.bytes.len();
    chunk.bytes.extend(b"**\0\0\0\0\0\0");
    chunk.bytes.extend(record.record_id.to_le_bytes());
    chunk.bytes.extend(record.time_filetime.to_le_bytes());
    write_event(chunk, record)
        .map_err(|problem| format!("record {}: {problem}", record.record_id))?;
    // Real records end on a multiple of 8.
    while !(chunk.bytes.len() + 4).is_multiple_of(8) {
        chunk.bytes.push(0);
    }
    let size = (chunk.bytes.len() + 4 - start) as u32;
    chunk.bytes.extend(size.to_le_bytes());
    if chunk.bytes.len() > CHUNK {
        chunk.bytes.truncate(start);
        chunk.names.retain(|_, at| (*at as usize) < start);
        chunk.templates.retain(|_, at| (*at as usize) < start);
        return Ok(false);
    }
    put(&mut chunk.bytes, start + 4, &size.to_le_bytes());
    chunk.record_ids.push(record.record_id);
    chunk.last_record = start;
    Ok(true)
}

/// Fills in header, tables and checksums, and pads to the size of a chunk.
fn finish_chunk(chunk: Chunk) -> Vec<u8> {
    let mut bytes = chunk.bytes;
    let names = chunk.names.iter();
    let names = names.map(|(name, at)| (*at, hash(name.encode_utf16()) as u16 % 64));
    chain(&mut bytes, 128, names.collect());
    // A template's GUID follows the link of its chain.
    let templates = chunk.templates.values();
    let templates = templates.map(|at| (*at, guid_bucket(&bytes[*at as usize + 4..][..16])));
    let templates = templates.collect();
    chain(&mut bytes, 384, templates);

    let free_space = bytes.len();
    let records_crc = crc32fast::hash(&bytes[CHUNK_HEADER..]);
    // An empty chunk's last record is -1, as in a log that was just cleared.
    let count = chunk.record_ids.len() as u64;
    let last_number = match count {
        0 => u64::MAX,
        count => chunk.first_number + count - 1,
    };
    let first_id = chunk.record_ids.first().copied();
    let last_id = chunk.record_ids.last().copied();
    put(&mut bytes, 0, b"ElfChnk\0");
    put(&mut bytes, 8, &chunk.first_number.to_le_bytes());
    put(&mut bytes, 16, &last_number.to_le_bytes());
    put(&mut bytes, 24, &first_id.unwrap_or(u64::MAX).to_le_bytes());
    put(&mut bytes, 32, &last_id.unwrap_or(u64::MAX).to_le_bytes());
    put(&mut bytes, 40, &128_u32.to_le_bytes()); // bytes of the header in use
    put(&mut bytes, 44, &(chunk.last_record as u32).to_le_bytes());
    put(&mut bytes, 48, &(free_space as u32).to_le_bytes());
    put(&mut bytes, 52, &records_crc.to_le_bytes());
    put(&mut bytes, 120, &1_u32.to_le_bytes()); // as in real chunks
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&bytes[..120]);
    hasher.update(&bytes[128..CHUNK_HEADER]);
    put(&mut bytes, 124, &hasher.finalize().to_le_bytes());
    bytes.resize(CHUNK, 0);
    bytes
}

/// Enters things into a hash table of the chunk header: the table points to the newest of a
/// bucket, and each starts with the offset of the one before it.
fn chain(bytes: &mut [u8], table: usize, mut offsets_and_buckets: Vec<(u32, u16)>) {
    offsets_and_buckets.sort_unstable();
    for (offset, bucket) in offsets_and_buckets {
        let head = table + usize::from(bucket) * 4;
        bytes.copy_within(head..head + 4, offset as usize);
        put(bytes, head, &offset.to_le_bytes());
    }
}

fn hash(units: impl Iterator<Item = u16>) -> u32 {
    units.fold(0, |hash, unit| {
        hash.wrapping_mul(65599).wrapping_add(u32::from(unit))
    })
}

/// The names' hash, over the GUID's words: so in logs of Windows 10 and Server 2012 (newer
/// ones differ in a way that no reader depends on).
fn guid_bucket(guid: &[u8]) -> u16 {
    let words = guid.chunks_exact(2);
    let words = words.map(|word| u16::from_le_bytes([word[0], word[1]]));
    (hash(words) % 32) as u16
}

/// A template's GUID is a hash of what it holds (FNV-1a): one content, one GUID.
fn template_guid(content: &str) -> Guid {
    let hash = content
        .bytes()
        .fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128, |hash, b| {
            (hash ^ u128::from(b)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b)
        });
    hash.to_le_bytes()
}

struct Element {
    name: &'static str,
    /// The value without which a reader leaves the element out.
    dependency: u16,
    attributes: Vec<(&'static str, Content)>,
    children: Vec<Node>,
}

enum Node {
    Element(Element),
    Content(Content),
}

enum Content {
    Text(String),
    /// A value that an attribute or element goes without when it is null.
    Optional(u16, u8),
    Normal(u16, u8),
}

fn write_event(chunk: &mut Chunk, record: &Record) -> Result<(), String> {
    let values = system_values(record);
    let event = event_element(record, &values);
    chunk.bytes.extend([0x0f, 1, 1, 0]);
    if record.shape == Shape::Bare {
        write_element(chunk, &event, false)?;
        chunk.bytes.push(0);
        return Ok(());
    }

    // All that makes one System template differ from another.
    let execution = record.process_id.or(record.thread_id).is_some();
    let mut content = format!("System\n{}\n{execution}", record.computer);
    if record.shape == Shape::LiteralProvider {
        let guid = guid_text(&record.provider_guid);
        content = format!("{content}\n{}\n{guid}", record.provider_name);
    }
    write_instance(chunk, &content, &event)?;

    let mut encoded = Vec::new();
    for (index, value) in values.iter().enumerate() {
        encoded.push(match (index, value) {
            // The room that real records leave for these two when they are null.
            (4, Value::Null) => (0, vec![0; 2]),
            (7, Value::Null) => (0, vec![0; 16]),
            (_, value) => encode(value, "")?,
        });
    }
    let list = chunk.bytes.len();
    write_values(chunk, &encoded)?;

    // The last value is the EventData, whose size is known once it is written.
    let start = chunk.bytes.len();
    let mut content = "EventData".to_owned();
    for (name, value) in &record.data {
        content += &format!("\n{name}:{:?}", value_type(value));
    }
    write_instance(chunk, &content, &data_element(record))?;
    let encoded: Result<Vec<_>, _> = record.data.iter().map(|(_, v)| encode(v, "\0")).collect();
    write_values(chunk, &encoded?)?;
    chunk.bytes.push(0);
    let size = u16::try_from(chunk.bytes.len() - start).map_err(|_| "the data is too large")?;
    put(&mut chunk.bytes, list + 4 + 17 * 4, &size.to_le_bytes());
    put(&mut chunk.bytes, list + 4 + 17 * 4 + 2, &[SYSTEM_TYPES[17]]);
    chunk.bytes.push(0);
    Ok(())
}

/// The values of the System template, by index; the EventData, 17, is written apart.
fn system_values(record: &Record) -> [Value; 18] {
    let text = |text: &String| Value::Unicode(text.clone());
    let provider = |value| match record.shape {
        Shape::LiteralProvider => Value::Null,
        _ => value,
    };
    [
        Value::UInt8(record.level),
        Value::UInt8(record.opcode),
        Value::UInt16(record.task),
        Value::UInt16(record.event_id),
        Value::Null,
        Value::HexInt64(record.keywords),
        Value::FileTime(record.time_filetime),
        record.activity_id.map_or(Value::Null, Value::Guid),
        record.process_id.map_or(Value::Null, Value::UInt32),
        record.thread_id.map_or(Value::Null, Value::UInt32),
        Value::UInt64(record.record_id),
        Value::UInt8(record.version),
        record.user_sid.clone().map_or(Value::Null, Value::Sid),
        Value::Null,
        provider(text(&record.provider_name)),
        provider(Value::Guid(record.provider_guid)),
        text(&record.channel),
        Value::Null,
    ]
}

/// The Event element with its System element: the template, or for a bare record all of it.
fn event_element(record: &Record, values: &[Value; 18]) -> Element {
    let bare = record.shape == Shape::Bare;
    let slot = |index: u16| match &values[usize::from(index)] {
        Value::Null if bare => None,
        value if bare => Some(Content::Text(value_text(value))),
        _ => Some(Content::Optional(index, SYSTEM_TYPES[usize::from(index)])),
    };
    let attributes = |slots: &[(&'static str, u16)]| {
        let present = slots
            .iter()
            .filter_map(|(name, index)| Some((*name, slot(*index)?)));
        present.collect::<Vec<_>>()
    };
    // Elements with a value depend on it in a real template.
    let valued = |name, index| Element {
        name,
        dependency: index,
        attributes: Vec::new(),
        children: slot(index).map(Node::Content).into_iter().collect(),
    };
    let attributed = |name, slots| Element {
        name,
        dependency: NO_DEPENDENCY,
        attributes: attributes(slots),
        children: Vec::new(),
    };

    let mut provider = attributed("Provider", &[("Name", 14), ("Guid", 15)]);
    if record.shape == Shape::LiteralProvider {
        let guid = guid_text(&record.provider_guid);
        provider.attributes = vec![
            ("Name", Content::Text(record.provider_name.clone())),
            ("Guid", Content::Text(guid)),
        ];
    }
    let mut event_id = valued("EventID", 3);
    event_id.attributes = attributes(&[("Qualifiers", 4)]);
    let mut computer = attributed("Computer", &[]);
    let name = Content::Text(record.computer.clone());
    computer.children.push(Node::Content(name));
    let mut system = vec![
        provider,
        event_id,
        valued("Version", 11),
        valued("Level", 0),
        valued("Task", 2),
        valued("Opcode", 1),
        valued("Keywords", 5),
        attributed("TimeCreated", &[("SystemTime", 6)]),
        valued("EventRecordID", 10),
        attributed(
            "Correlation",
            &[("ActivityID", 7), ("RelatedActivityID", 13)],
        ),
    ];
    if record.process_id.or(record.thread_id).is_some() {
        system.push(attributed(
            "Execution",
            &[("ProcessID", 8), ("ThreadID", 9)],
        ));
    }
    system.extend([
        valued("Channel", 16),
        computer,
        attributed("Security", &[("UserID", 12)]),
    ]);

    let system = Element {
        name: "System",
        dependency: NO_DEPENDENCY,
        attributes: Vec::new(),
        children: system.into_iter().map(Node::Element).collect(),
    };
    let data = match bare {
        true => Node::Element(data_element(record)),
        false => Node::Content(Content::Optional(17, SYSTEM_TYPES[17])),
    };
    Element {
        name: "Event",
        dependency: 17,
        attributes: vec![("xmlns", Content::Text(NAMESPACE.to_owned()))],
        children: vec![Node::Element(system), data],
    }
}

fn data_element(record: &Record) -> Element {
    let field = |(index, (name, value)): (u16, &(String, Value))| {
        let content = match (record.shape, value) {
            (Shape::Bare, value) => Content::Text(value_text(value)),
            // The reader libevtx fails on a null that is not optional.
            (_, Value::Null) => Content::Optional(index, value_type(value).0),
            (_, value) => Content::Normal(index, value_type(value).0),
        };
        Node::Element(Element {
            name: "Data",
            dependency: NO_DEPENDENCY,
            attributes: vec![("Name", Content::Text(name.clone()))],
            children: vec![Node::Content(content)],
        })
    };
    Element {
        name: "EventData",
        dependency: NO_DEPENDENCY,
        attributes: Vec::new(),
        children: (0..).zip(&record.data).map(field).collect(),
    }
}

/// A template instance up to its values; with the definition if the chunk has none yet.
fn write_instance(chunk: &mut Chunk, content: &str, element: &Element) -> Result<(), String> {
    let guid = template_guid(content);
    let known = chunk.templates.get(content).copied();
    let definition = known.unwrap_or(chunk.bytes.len() as u32 + 10);
    chunk.bytes.extend([0x0c, 1]);
    chunk.bytes.extend(&guid[..4]);
    chunk.bytes.extend(definition.to_le_bytes());
    if known.is_some() {
        return Ok(());
    }
    chunk.templates.insert(content.to_owned(), definition);
    chunk.bytes.extend([0; 4]); // for the chain of its bucket
    chunk.bytes.extend(guid);
    let size = begin_sized(chunk);
    chunk.bytes.extend([0x0f, 1, 1, 0]);
    write_element(chunk, element, true)?;
    chunk.bytes.push(0);
    end_sized(chunk, size);
    Ok(())
}

fn write_values(chunk: &mut Chunk, values: &[(u8, Vec<u8>)]) -> Result<(), String> {
    chunk.bytes.extend((values.len() as u32).to_le_bytes());
    for (kind, bytes) in values {
        let size = u16::try_from(bytes.len()).map_err(|_| "a value is too long")?;
        chunk.bytes.extend(size.to_le_bytes());
        chunk.bytes.extend([*kind, 0]);
    }
    chunk
        .bytes
        .extend(values.iter().flat_map(|(_, bytes)| bytes));
    Ok(())
}

/// Only elements of a template definition carry a dependency.
fn write_element(chunk: &mut Chunk, element: &Element, in_template: bool) -> Result<(), String> {
    let more = if element.attributes.is_empty() {
        0
    } else {
        0x40
    };
    chunk.bytes.push(0x01 | more);
    if in_template {
        chunk.bytes.extend(element.dependency.to_le_bytes());
    }
    let size = begin_sized(chunk);
    write_name(chunk, element.name);
    if let Some(last) = element.attributes.len().checked_sub(1) {
        let list = begin_sized(chunk);
        for (index, (name, content)) in element.attributes.iter().enumerate() {
            chunk.bytes.push(if index < last { 0x46 } else { 0x06 });
            write_name(chunk, name);
            write_content(chunk, content)?;
        }
        end_sized(chunk, list);
    }
    // EventData without fields is an open and a close tag in real records, not an empty tag.
    if element.children.is_empty() && element.name != "EventData" {
        chunk.bytes.push(0x03);
    } else {
        chunk.bytes.push(0x02);
        for child in &element.children {
            match child {
                Node::Element(child) => write_element(chunk, child, in_template)?,
                Node::Content(content) => write_content(chunk, content)?,
            }
        }
        chunk.bytes.push(0x04);
    }
    end_sized(chunk, size);
    Ok(())
}

fn write_content(chunk: &mut Chunk, content: &Content) -> Result<(), String> {
    match content {
        Content::Text(text) => {
            let units: Vec<u16> = text.encode_utf16().collect();
            let length = u16::try_from(units.len()).map_err(|_| "a text is too long")?;
            chunk.bytes.extend([0x05, 0x01]);
            chunk.bytes.extend(length.to_le_bytes());
            chunk
                .bytes
                .extend(units.iter().flat_map(|unit| unit.to_le_bytes()));
        }
        Content::Normal(index, kind) => {
            chunk.bytes.push(0x0d);
            chunk.bytes.extend(index.to_le_bytes());
            chunk.bytes.push(*kind);
        }
        Content::Optional(index, kind) => {
            chunk.bytes.push(0x0e);
            chunk.bytes.extend(index.to_le_bytes());
            chunk.bytes.push(*kind);
        }
    }
    Ok(())
}

/// The offset of a name, which follows at once if the chunk does not have it yet.
fn write_name(chunk: &mut Chunk, name: &str) {
    let here = chunk.bytes.len() as u32 + 4;
    let offset = chunk.names.get(name).copied().unwrap_or(here);
    chunk.bytes.extend(offset.to_le_bytes());
    if offset != here {
        return;
    }
    chunk.names.insert(name.to_owned(), here);
    chunk.bytes.extend([0; 4]); // for the chain of its bucket
    let name_hash = hash(name.encode_utf16()) as u16;
    chunk.bytes.extend(name_hash.to_le_bytes());
    chunk
        .bytes
        .extend((name.encode_utf16().count() as u16).to_le_bytes());
    chunk.bytes.extend(utf16(name));
    chunk.bytes.extend([0; 2]);
}

/// Leaves room for a size, to be filled in by `end_sized` with what was written since.
fn begin_sized(chunk: &mut Chunk) -> usize {
    chunk.bytes.extend([0; 4]);
    chunk.bytes.len()
}

fn end_sized(chunk: &mut Chunk, start: usize) {
    let size = (chunk.bytes.len() - start) as u32;
    put(&mut chunk.bytes, start - 4, &size.to_le_bytes());
}

/// The type of a value in a template and the type of the value itself: a pointer is a SizeT in
/// the template, and the value says how wide it is.
fn value_type(value: &Value) -> (u8, u8) {
    let kind = match value {
        Value::Null => return (0x01, 0x00),
        Value::Pointer(_) => return (0x10, 0x15),
        Value::Unicode(_) => 0x01,
        Value::Ansi(_) => 0x02,
        Value::UInt8(_) => 0x04,
        Value::UInt16(_) => 0x06,
        Value::Int32(_) => 0x07,
        Value::UInt32(_) => 0x08,
        Value::Int64(_) => 0x09,
        Value::UInt64(_) => 0x0a,
        Value::Boolean(_) => 0x0d,
        Value::Binary(_) => 0x0e,
        Value::Guid(_) => 0x0f,
        Value::FileTime(_) => 0x11,
        Value::Sid(_) => 0x13,
        Value::HexInt32(_) => 0x14,
        Value::HexInt64(_) => 0x15,
    };
    (kind, kind)
}

/// Type and bytes of a value. Texts of EventData end with a NUL, those of System do not.
fn encode(value: &Value, text_end: &str) -> Result<(u8, Vec<u8>), String> {
    let bytes = match value {
        Value::Null => Vec::new(),
        Value::Unicode(text) => utf16(&format!("{text}{text_end}")),
        // Windows-1252 agrees with Unicode here but for 32 characters that no test needs.
        Value::Ansi(text) => (text.chars().chain(text_end.chars()))
            .map(|c| u8::try_from(c).map_err(|_| format!("{c:?} is not an ANSI character")))
            .collect::<Result<_, _>>()?,
        Value::UInt8(number) => number.to_le_bytes().to_vec(),
        Value::UInt16(number) => number.to_le_bytes().to_vec(),
        Value::Int32(number) => number.to_le_bytes().to_vec(),
        Value::UInt32(number) | Value::HexInt32(number) => number.to_le_bytes().to_vec(),
        Value::Int64(number) => number.to_le_bytes().to_vec(),
        Value::UInt64(number)
        | Value::HexInt64(number)
        | Value::Pointer(number)
        | Value::FileTime(number) => number.to_le_bytes().to_vec(),
        Value::Boolean(flag) => u32::from(*flag).to_le_bytes().to_vec(),
        Value::Binary(bytes) => bytes.clone(),
        Value::Guid(guid) => guid.to_vec(),
        Value::Sid(text) => sid_bytes(text).ok_or_else(|| format!("{text:?} is not a SID"))?,
    };
    Ok((value_type(value).1, bytes))
}

/// A value as text, for a record without a template.
fn value_text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Unicode(text) | Value::Ansi(text) | Value::Sid(text) => text.clone(),
        Value::UInt8(number) => number.to_string(),
        Value::UInt16(number) => number.to_string(),
        Value::Int32(number) => number.to_string(),
        Value::UInt32(number) => number.to_string(),
        Value::Int64(number) => number.to_string(),
        Value::UInt64(number) => number.to_string(),
        Value::Boolean(flag) => flag.to_string(),
        Value::Binary(bytes) => hex(bytes).to_uppercase(),
        Value::Guid(guid) => guid_text(guid),
        Value::FileTime(time) => time_text(*time),
        Value::HexInt32(number) => format!("{number:#x}"),
        Value::HexInt64(number) | Value::Pointer(number) => format!("{number:#x}"),
    }
}

fn time_text(filetime: u64) -> String {
    let since_1970 = i128::from(filetime) - i128::from(FILETIME_OF_UNIX_EPOCH);
    let seconds = since_1970.div_euclid(10_000_000) as i64;
    let rest = since_1970.rem_euclid(10_000_000);
    match chrono::DateTime::from_timestamp(seconds, 0) {
        Some(time) => format!("{}.{rest:07}Z", time.format("%Y-%m-%dT%H:%M:%S")),
        None => filetime.to_string(),
    }
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn put(bytes: &mut [u8], at: usize, what: &[u8]) {
    bytes[at..at + what.len()].copy_from_slice(what);
}
