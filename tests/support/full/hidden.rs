//! Chunks in which a record of ours hides from a quick look, each in a way of its own.

use super::binxml::{
    Chunk, NO_DEPENDENCY, Token, Value, ansi, fix_checksums, guid, null, text, utf16, value,
};
use crate::support::evtx::parse_guid;
use Token::{Attribute, Close, CloseEmpty, End, Normal, Open, OpenWith, Optional, Text};

pub const OURS: &str = "Microsoft-Windows-AAD";
pub const FOREIGN: &str = "Microsoft-Windows-Kernel-General";
const OUR_GUID: &str = "{4de9bc9c-b27a-43c9-8994-0915f1a5e24f}";
const FOREIGN_GUID: &str = "{a68ca8b7-004f-d7b6-a698-07e2de0f1f5d}";
const NO: u16 = NO_DEPENDENCY;

/// A chunk, and what a full parse finds in it.
pub struct Case {
    pub title: &'static str,
    pub chunk: Vec<u8>,
    /// Records of ours.
    pub ours: usize,
    /// Records that may be selected.
    pub selected: std::ops::RangeInclusive<usize>,
    /// Records of ours that are listed as undecodable.
    pub reported: usize,
}

/// An event with this Provider element. Values 0 and 1 are the provider's name and GUID, 5 is the
/// event's data.
fn event(provider: &[Token]) -> Vec<Token> {
    event_with(
        &[
            OpenWith("Event", NO),
            Attribute("xmlns"),
            Text("urn:x"),
            Close,
        ],
        NO,
        provider,
    )
}

fn event_with(event: &[Token], system: u16, provider: &[Token]) -> Vec<Token> {
    let mut tokens = event.to_vec();
    tokens.extend([Open("System", system), Close]);
    tokens.extend(provider.iter().cloned());
    tokens.extend([
        Open("EventID", 2),
        Close,
        Optional(2),
        End,
        OpenWith("TimeCreated", NO),
        Attribute("SystemTime"),
        Optional(3),
        CloseEmpty,
        Open("EventRecordID", 4),
        Close,
        Optional(4),
        End,
        Open("Channel", NO),
        Close,
        Text("Operational"),
        End,
        Open("Computer", NO),
        Close,
        Text("PC"),
        End,
        End,
        Normal(5),
        End,
    ]);
    tokens
}

/// The Provider element of real templates.
fn usual() -> Vec<Token> {
    vec![
        OpenWith("Provider", NO),
        Attribute("Name"),
        Optional(0),
        Attribute("Guid"),
        Optional(1),
        CloseEmpty,
    ]
}

fn named(attributes: &[Token]) -> Vec<Token> {
    let mut tokens = vec![OpenWith("Provider", NO)];
    tokens.extend(attributes.iter().cloned());
    tokens.push(CloseEmpty);
    tokens
}

fn values(name: Value, id: &str) -> Vec<Value> {
    vec![
        name,
        guid(parse_guid(id).unwrap()),
        value(0x06, &1098_u16.to_le_bytes()),
        value(0x11, &132_000_000_000_000_000_u64.to_le_bytes()),
        value(0x0a, &7_u64.to_le_bytes()),
        null(),
    ]
}

fn foreign_values() -> Vec<Value> {
    values(text(FOREIGN), FOREIGN_GUID)
}

fn our_values() -> Vec<Value> {
    values(text(OURS), OUR_GUID)
}

/// Bytes of a fragment: bare elements, whose names follow at once. It must stand at this offset.
fn fragment(at: usize, tokens: &[Token]) -> Vec<u8> {
    let mut chunk = Chunk::default();
    chunk.bytes.resize(at, 0);
    chunk.bytes.extend([0x0f, 1, 1, 0]);
    chunk.tokens(tokens, false);
    chunk.bytes.push(0);
    chunk.bytes.split_off(at)
}

/// A record of this template whose last value is a fragment.
fn with_fragment(chunk: &mut Chunk, template: &[Token], mut values: Vec<Value>, tokens: &[Token]) {
    // The fragment's place depends on its size nowhere: write it once to learn the place.
    let last = values.len() - 1;
    let start = chunk.begin();
    chunk.bytes.extend([0x0f, 1, 1, 0]);
    chunk.define(template);
    let before: usize = values[..last].iter().map(|value| value.bytes.len()).sum();
    let at = chunk.bytes.len() + 4 + 4 * values.len() + before;
    values[last] = value(0x21, &fragment(at, tokens));
    chunk.values(&values);
    chunk.bytes.push(0);
    chunk.end(start);
}

/// A `System` element of ours, as it may stand in a fragment.
fn our_system() -> Vec<Token> {
    let mut tokens = vec![Open("System", NO), Close, OpenWith("Provider", NO)];
    tokens.extend([Attribute("Name"), Text(OURS), CloseEmpty]);
    tokens.extend([Open("EventID", NO), Close, Text("1098"), End]);
    tokens.extend([OpenWith("TimeCreated", NO), Attribute("SystemTime")]);
    tokens.extend([Text("2019-04-17T00:00:00.0000000Z"), CloseEmpty]);
    tokens.extend([Open("EventRecordID", NO), Close, Text("7"), End, End]);
    tokens
}

/// All of them.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |title, ours, selected, chunk: Chunk| {
        cases.push(Case {
            title,
            chunk: chunk.finish(),
            ours,
            selected,
            reported: 0,
        });
    };
    // One record with these tokens and values.
    let one = |template: Vec<Token>, values: Vec<Value>| {
        let mut chunk = Chunk::default();
        chunk.record(&template, &values);
        chunk
    };

    add("ours", 1, 1..=1, one(event(&usual()), our_values()));
    add("foreign", 0, 0..=0, one(event(&usual()), foreign_values()));

    // The name as a value.
    for (title, name, ours) in [
        ("ANSI", ansi(OURS.as_bytes()), 1),
        (
            "ANSI, NULs at the end",
            ansi(b"Microsoft-Windows-AAD\0\0"),
            1,
        ),
        // The evtx crate drops every NUL.
        ("ANSI, a NUL inside", ansi(b"Microsoft\0-Windows-AAD"), 1),
        ("ANSI, a NUL in front", ansi(b"\0Microsoft-Windows-AAD"), 1),
        ("ANSI, NULs only", ansi(b"\0\0"), 1),
        ("NULs at the end", text("Microsoft-Windows-AAD\0\0"), 1),
        ("more behind a NUL", text("Microsoft-Windows-AAD\0x"), 1),
        ("a NUL inside", text("Microsoft\0-Windows-AAD"), 0),
        ("another case", text("microsoft-windows-aad"), 0),
        ("a longer name", text("Microsoft-Windows-AADx"), 0),
        ("null", null(), 1),
        ("null that takes room", value(0, &[1, 2, 3]), 1),
        ("empty", text(""), 1),
        ("NULs only", text("\0\0"), 1),
        (
            "array, ours first",
            value(0x81, &utf16("Microsoft-Windows-AAD\0Other\0")),
            1,
        ),
        (
            "array, ours second",
            value(0x81, &utf16("Other\0Microsoft-Windows-AAD\0")),
            0,
        ),
        (
            "array of one",
            value(0x81, &utf16("Microsoft-Windows-AAD\0")),
            1,
        ),
        ("empty array", value(0x81, &[]), 1),
        (
            "ANSI array",
            value(0x82, b"Microsoft-Windows-AAD\0Other\0"),
            1,
        ),
        ("empty array of numbers", value(0x88, &[]), 1),
    ] {
        add(
            title,
            ours,
            0..=1,
            one(event(&usual()), values(name, OUR_GUID)),
        );
    }
    let mut array = foreign_values();
    array[1] = value(0x8f, &[0x55; 32]);
    add("an array of GUIDs", 0, 0..=0, one(event(&usual()), array));
    let name_missing = named(&[Attribute("Guid"), Text(OUR_GUID)]);
    add(
        "no name",
        1,
        1..=1,
        one(event(&name_missing), foreign_values()),
    );

    // The name in the template, or partly.
    for (title, attributes, ours) in [
        ("literal", vec![Attribute("Name"), Text(OURS)], 1),
        (
            "literal, more behind a NUL",
            vec![Attribute("Name"), Text("Microsoft-Windows-AAD\0x")],
            1,
        ),
        (
            "literal and value",
            vec![Attribute("Name"), Text("Microsoft-Windows-"), Normal(6)],
            1,
        ),
        (
            "value and literal",
            vec![Attribute("Name"), Normal(7), Text("-AAD")],
            1,
        ),
        (
            "two literals",
            vec![Attribute("Name"), Text("Microsoft"), Text("-Windows-AAD")],
            1,
        ),
        (
            "an empty value and a literal",
            vec![Attribute("Name"), Optional(5), Text(OURS)],
            1,
        ),
        ("CDATA", vec![Attribute("Name"), Token::CData(OURS)], 1),
        (
            "a character reference",
            vec![
                Attribute("Name"),
                Token::Character(u16::from(b'M')),
                Text("icrosoft-Windows-AAD"),
            ],
            1,
        ),
        (
            "a reference to an entity",
            vec![
                Attribute("Name"),
                Text(FOREIGN),
                Token::Entity("amp"),
                Attribute("Guid"),
                Text(OUR_GUID),
            ],
            0,
        ),
        (
            // It makes the name unreadable, and leaves it to the GUID.
            "an unknown entity",
            vec![
                Attribute("Name"),
                Text(FOREIGN),
                Token::Entity("unknown"),
                Attribute("Guid"),
                Text(OUR_GUID),
            ],
            1,
        ),
        (
            "the name twice, ours first",
            vec![
                Attribute("Name"),
                Text(OURS),
                Attribute("Name"),
                Text(FOREIGN),
            ],
            1,
        ),
        (
            // The evtx crate reads a name up to its first NUL.
            "an attribute's name with a NUL",
            vec![
                Attribute("Name\0x"),
                Text(OURS),
                Attribute("Name"),
                Normal(0),
            ],
            1,
        ),
        (
            "an attribute of the same name in other case",
            vec![Attribute("name"), Text(OURS), Attribute("Name"), Normal(0)],
            0,
        ),
        (
            "the name is left empty",
            vec![
                Attribute("Name"),
                Text(""),
                Attribute("Guid"),
                Text(OUR_GUID),
            ],
            1,
        ),
        (
            // Names are written into the XML as they stand.
            "an attribute's name that breaks the ones after it",
            vec![
                Attribute("Guid"),
                Text(OUR_GUID),
                Attribute("a b"),
                Text("x"),
                Attribute("Name"),
                Normal(0),
            ],
            1,
        ),
        (
            "an attribute's name that holds an attribute",
            vec![
                Attribute("Name=\"Microsoft-Windows-AAD\" x"),
                Text("x"),
                Attribute("Name"),
                Normal(0),
            ],
            1,
        ),
    ] {
        let mut all = foreign_values();
        all.extend([text("AAD"), text("Microsoft-Windows")]);
        add(title, ours, 0..=1, one(event(&named(&attributes)), all));
    }

    // Another Provider, System or Event.
    let second = |name: &'static str, first: u16| {
        let mut tokens = vec![OpenWith("Provider", first), Attribute("Name"), Normal(0)];
        tokens.extend([CloseEmpty, OpenWith(name, NO), Attribute("Name")]);
        tokens.extend([Text(OURS), CloseEmpty]);
        one(event(&tokens), foreign_values())
    };
    add("a second Provider", 0, 0..=1, second("Provider", NO));
    let title = "the first Provider depends on a null";
    add(title, 1, 1..=1, second("Provider", 5));
    let title = "a second Provider with a prefix";
    add(title, 1, 1..=1, second("x:Provider", 5));
    let title = "a second Provider with a NUL in its name";
    add(title, 1, 1..=1, second("Provider\0x", 5));
    let tokens = [
        vec![
            OpenWith("Provider", 5),
            Attribute("Name"),
            Normal(0),
            CloseEmpty,
        ],
        vec![
            Open("Provider Name=\"Microsoft-Windows-AAD\"", NO),
            CloseEmpty,
        ],
    ];
    let title = "an element's name that holds an attribute";
    add(
        title,
        1,
        1..=1,
        one(event(&tokens.concat()), foreign_values()),
    );

    for (title, name) in [
        (
            "an attribute's name that holds elements",
            "a=\"\"><System><Provider Name=\"Microsoft-Windows-AAD\"/></System><Event x",
        ),
        (
            "an attribute's name that holds elements, with a NUL",
            "a=\"\"><System><Provider Name=\"Microsoft-Windows-AAD\"/></System><Event x\0",
        ),
    ] {
        let start = [OpenWith("Event", NO), Attribute(name), Text("urn:x"), Close];
        let template = event_with(&start, NO, &usual());
        add(title, 1, 1..=1, one(template, foreign_values()));
    }
    let start = [
        Open("Event", NO),
        Close,
        OpenWith("System", NO),
        Attribute("a=\"\"><Provider Name=\"Microsoft-Windows-AAD\"/></System><System x"),
        Text("x"),
        Close,
    ];
    let mut template = start.to_vec();
    template.extend(event(&usual()).split_off(6));
    let title = "an attribute of System whose name holds elements";
    add(title, 1, 1..=1, one(template, foreign_values()));

    let mut chunk = Chunk::default();
    let template = event(&usual());
    with_fragment(&mut chunk, &template, foreign_values(), &our_system());
    add("another System in the data", 0, 0..=0, chunk);
    // Value 5 is null in these two, and value 6 is the data.
    let mut all = foreign_values();
    all.push(null());
    let mut chunk = Chunk::default();
    let mut template = event_with(&[Open("Event", NO), Close], 5, &usual());
    let data = template.len() - 2;
    template[data] = Normal(6);
    with_fragment(&mut chunk, &template, all.clone(), &our_system());
    let title = "System depends on a null, and another stands in the data";
    add(title, 1, 1..=1, chunk);
    let mut chunk = Chunk::default();
    let mut template = event(&[
        OpenWith("Provider", 5),
        Attribute("Name"),
        Normal(0),
        CloseEmpty,
    ]);
    let data = template.len() - 2;
    template.remove(data);
    let record_id = template
        .iter()
        .position(|token| matches!(token, Optional(4)));
    template[record_id.unwrap()] = Normal(6);
    let name = "a/></EventRecordID><Provider Name=\"Microsoft-Windows-AAD\"/><EventRecordID><a";
    let breaks_out = [Open(name, NO), CloseEmpty];
    with_fragment(&mut chunk, &template, all, &breaks_out);
    let title = "a fragment in System whose names hold elements";
    add(title, 1, 1..=1, chunk);
    let mut chunk = Chunk::default();
    let mut tokens = vec![Open("Event", NO), Close, Normal(5)];
    tokens.extend(event(&usual()).split_off(4));
    with_fragment(&mut chunk, &tokens, foreign_values(), &our_system());
    add("another System in front", 1, 1..=1, chunk);
    let start = [
        OpenWith("Event", 5),
        Attribute("xmlns"),
        Text("urn:x"),
        Close,
    ];
    let title = "Event depends on a null";
    add(
        title,
        1,
        1..=1,
        one(event_with(&start, NO, &usual()), our_values()),
    );

    // A value in front whose size does not fit its type: the evtx crate reads as much as the type
    // takes and goes on from there.
    let shifted = |odd: Value, between: usize| {
        let template = event(&named(&[Attribute("Name"), Normal(1)]));
        let mut all = foreign_values();
        all[0] = odd;
        // Where the sizes say the name is, and where the types say it is.
        let mut bytes = vec![0_u8; between];
        bytes.extend(utf16(OURS));
        all[1] = Value {
            size: (OURS.len() * 2) as u16,
            kind: 1,
            bytes,
        };
        one(template, all)
    };
    let odd = |size, kind| Value {
        size,
        kind,
        bytes: vec![1, 0, 0, 0][..usize::from(size)].to_vec(),
    };
    add("a Boolean of 1 byte", 1, 1..=1, shifted(odd(1, 0x0d), 3));
    add("a Boolean of 2 bytes", 1, 1..=1, shifted(odd(2, 0x0d), 2));
    add("a number of no bytes", 1, 1..=1, shifted(odd(0, 0x04), 1));
    add("a GUID of 2 bytes", 1, 1..=1, shifted(odd(2, 0x0f), 14));
    let pointer = value(0x10, &[0; 8]);
    add("a pointer of 8 bytes", 1, 1..=1, shifted(pointer, 0));
    let sid = Value {
        size: 8,
        kind: 0x13,
        bytes: vec![1, 1, 0, 0, 0, 0, 0, 5],
    };
    add(
        "a SID that is longer than it says",
        1,
        1..=1,
        shifted(sid, 4),
    );
    let array = Value {
        size: 2,
        kind: 0x81,
        bytes: vec![65, 0],
    };
    add("an array without its last NUL", 1, 1..=1, shifted(array, 2));

    // Where the definition stands.
    let mut chunk = Chunk::default();
    let definition = chunk.record(&event(&usual()), &foreign_values());
    chunk.record_of(definition, &our_values());
    chunk.record_of(definition, &foreign_values());
    chunk.record_of(definition, &our_values());
    add("the definition is in a foreign record", 2, 2..=2, chunk);

    let mut chunk = Chunk::default();
    let mut inner = Chunk::default();
    // The definition of ours as the text of a foreign one. Its place is known once all in front
    // of it is written.
    let place = 512 + 24 + 4 + 10 + 24 + 4;
    let in_front = {
        let mut tokens = Chunk::default();
        tokens.bytes.resize(place, 0);
        tokens.tokens(&event(&usual())[..event(&usual()).len() - 2], true);
        tokens.bytes.len()
    };
    let hidden = in_front + 4;
    inner.bytes.resize(hidden, 0);
    inner.definition(&event(&named(&[Attribute("Name"), Text(OURS)])));
    let mut body = inner.bytes.split_off(hidden);
    if body.len() % 2 == 1 {
        body.push(0);
    }
    let mut literal = vec![0x05, 0x01];
    literal.extend((body.len() as u16 / 2).to_le_bytes());
    literal.extend(body);
    let mut template = event(&usual());
    let at = template.len() - 2;
    template[at] = Token::Raw(literal);
    chunk.record(&template, &foreign_values());
    chunk.record_of(hidden as u32, &foreign_values());
    add("a definition in another one", 1, 1..=1, chunk);

    // Two instances in one record: the first counts.
    for (title, first, second, ours) in [
        (
            "two instances, ours first",
            our_values(),
            foreign_values(),
            1,
        ),
        (
            "two instances, ours second",
            foreign_values(),
            our_values(),
            0,
        ),
    ] {
        let mut chunk = Chunk::default();
        let start = chunk.begin();
        chunk.bytes.extend([0x0f, 1, 1, 0]);
        let definition = chunk.define(&event(&usual()));
        chunk.values(&first);
        chunk.instance(definition);
        chunk.values(&second);
        chunk.bytes.push(0);
        chunk.end(start);
        add(title, ours, 0..=1, chunk);
    }

    // Names that stand in the chunk's header.
    let mut chunk = Chunk::default();
    chunk.record(
        &event(&named(&[Token::AttributeAt(64), Normal(0)])),
        &our_values(),
    );
    let mut name = Chunk::default();
    name.name_entry("Name");
    chunk.put(64, &name.bytes[512..]);
    add("a name in the chunk's header", 1, 1..=1, chunk);

    // A record's bare elements, and a fragment header in front of an instance or none.
    let mut chunk = Chunk::default();
    let start = chunk.begin();
    chunk.bytes.extend([0x0f, 1, 1, 0]);
    let mut bare = vec![Open("Event", NO), Close];
    bare.extend(our_system());
    bare.push(End);
    chunk.tokens(&bare, false);
    chunk.bytes.push(0);
    chunk.end(start);
    add("bare elements", 1, 1..=1, chunk);
    let mut chunk = Chunk::default();
    let start = chunk.begin();
    chunk.define(&event(&usual()));
    chunk.values(&our_values());
    chunk.bytes.push(0);
    chunk.end(start);
    add("no fragment header", 1, 1..=1, chunk);
    let mut chunk = Chunk::default();
    let start = chunk.begin();
    chunk.bytes.extend([0x0f, 1, 1, 0, 0x0f, 1, 1, 0]);
    chunk.define(&event(&usual()));
    chunk.values(&our_values());
    chunk.bytes.push(0);
    chunk.end(start);
    add("two fragment headers", 1, 1..=1, chunk);
    cases
}

/// Chunks whose records of ours are selected, and which covering must not keep from being read.
pub fn covered() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |title, ours, reported, chunk: Vec<u8>| {
        cases.push(Case {
            title,
            chunk,
            ours,
            selected: ours..=ours,
            reported,
        });
    };
    let mixed = |change: &dyn Fn(&mut Chunk, usize)| {
        let mut chunk = Chunk::default();
        let definition = chunk.record(&event(&usual()), &foreign_values());
        let foreign = chunk.bytes.len();
        chunk.record_of(definition, &foreign_values());
        chunk.record_of(definition, &our_values());
        change(&mut chunk, foreign);
        chunk.finish()
    };
    add("nothing unusual", 1, 0, mixed(&|_, _| {}));
    let highest = u64::MAX.to_le_bytes();
    add(
        "a covered record has the highest number",
        1,
        0,
        mixed(&|chunk, _| chunk.put(512 + 8, &highest)),
    );
    add(
        "a covered record has no time",
        1,
        0,
        mixed(&|chunk, _| chunk.put(512 + 16, &highest)),
    );
    let mut chunk = mixed(&|chunk, _| chunk.put(512 + 16, &highest));
    chunk[24..32].copy_from_slice(&99_u64.to_le_bytes());
    chunk[44..48].fill(0);
    fix_checksums(&mut chunk);
    add(
        "a covered record has no time, and the header is wrong about the last",
        1,
        0,
        chunk,
    );

    // Ours has the highest number, and another one of ours follows.
    let mut chunk = Chunk::default();
    let definition = chunk.record(&event(&usual()), &our_values());
    chunk.record_of(definition, &our_values());
    chunk.put(512 + 8, &highest);
    add(
        "a record of ours has the highest number",
        2,
        0,
        chunk.finish(),
    );

    // A few bytes that are no record, behind one of ours whose stream ends with the record.
    let mut chunk = Chunk::default();
    let definition = chunk.record(&event(&usual()), &our_values());
    let start = chunk.begin();
    chunk.bytes.extend([0x0f, 1, 1, 0]);
    chunk.instance(definition);
    chunk.values(&our_values());
    chunk.end(start);
    chunk.bytes.extend([0xee; 8]);
    chunk.record_of(definition, &our_values());
    add(
        "a short gap behind a stream without an end",
        3,
        0,
        chunk.finish(),
    );

    // A few bytes in front of the first record, and a header that is wrong about the last.
    let mut chunk = Chunk::default();
    chunk.bytes.extend([0xee; 8]);
    chunk.record(&event(&usual()), &our_values());
    let mut chunk = chunk.finish();
    chunk[24..32].copy_from_slice(&99_u64.to_le_bytes());
    chunk[44..48].fill(0);
    fix_checksums(&mut chunk);
    add(
        "a short gap in front, and the header is wrong about the last",
        1,
        0,
        chunk,
    );

    // A definition behind the live part.
    let mut chunk = Chunk::default();
    let start = chunk.begin();
    chunk.bytes.extend([0x0f, 1, 1, 0]);
    chunk.instance(0x8000);
    chunk.values(&our_values());
    chunk.bytes.push(0);
    chunk.end(start);
    let mut chunk = chunk.finish();
    let mut definition = Chunk::default();
    definition.bytes.resize(0x8000, 0);
    definition.definition(&event(&usual()));
    let definition = definition.bytes.split_off(0x8000);
    chunk[0x8000..][..definition.len()].copy_from_slice(&definition);
    // Of a chunk with sound checksums the live part alone is read.
    add("a definition behind the live part", 1, 1, chunk);
    cases
}

/// A definition that goes on over the header of a foreign record. Its text is one of odd
/// alignment, so that the sizes of both records are characters of it and no NUL ends it.
pub fn over_a_header() -> Vec<u8> {
    let mut chunk = Chunk::default();
    let known = chunk.record(&event(&usual()), &our_values());
    let start = chunk.begin();
    chunk.bytes.extend([0x0f, 1, 1, 0]);
    chunk.instance(0);
    let definition_at = chunk.bytes.len() - 4;
    chunk.values(&our_values());
    chunk.bytes.push(0);
    let template = event(&named(&[Attribute("Name"), Text(OURS)]));
    let place = chunk.at();
    chunk.put(definition_at, &place.to_le_bytes());
    chunk.definition(&template[..template.len() - 2]);
    // No end yet: an EventData whose text covers what follows.
    chunk.bytes.pop();
    chunk.tokens(
        &[Open("EventData", NO), Close, Open("Data", NO), Close],
        true,
    );
    chunk.bytes.extend([0x05, 0x01, 0, 0]);
    let length_at = chunk.bytes.len() - 2;
    if (chunk.bytes.len() - start) % 2 == 0 {
        // The text's first byte makes the alignment odd.
        chunk.bytes.push(b'x');
    }
    chunk.bytes.resize(chunk.bytes.len() + 300, b'x');
    if (chunk.bytes.len() - length_at) % 2 == 0 {
        chunk.bytes.push(b'x');
    }
    chunk.end(start);
    let foreign = chunk.begin();
    chunk.put(foreign + 8, &0x0101_0101_0101_0101_u64.to_le_bytes());
    chunk.bytes.extend([0x0f, 1, 1, 0]);
    chunk.instance(known);
    chunk.values(&foreign_values());
    chunk.bytes.push(0);
    chunk.bytes.resize(foreign + 300, 0);
    if (chunk.bytes.len() - length_at) % 2 == 1 {
        chunk.bytes.push(0);
    }
    let units = (chunk.bytes.len() - length_at - 2) / 2;
    chunk.put(length_at, &(units as u16).to_le_bytes());
    chunk.tokens(&[End, End, End], true);
    chunk.bytes.push(0);
    let body = chunk.bytes.len() - place as usize - 24;
    chunk.put(place as usize + 20, &(body as u32).to_le_bytes());
    chunk.end(foreign);
    chunk.record_of(known, &foreign_values());
    chunk.record_of(known, &our_values());
    chunk.finish()
}

/// A definition of ours that goes on over the header of a foreign record, whose size is the place
/// of the attribute's name there: with another size the record names another provider.
pub fn name_in_a_header() -> Vec<u8> {
    let mut chunk = Chunk::default();
    let known = chunk.record(&event(&usual()), &our_values());
    let start = chunk.begin();
    chunk.bytes.extend([0x0f, 1, 1, 0]);
    let place = chunk.at()
        + 10
        + 4
        + 4 * 6
        + our_values()
            .iter()
            .map(|v| v.bytes.len() as u32)
            .sum::<u32>()
        + 1;
    chunk.instance(place);
    chunk.values(&our_values());
    chunk.bytes.push(0);
    // Up to the text that covers the rest of this record and the foreign one's magic.
    let mut template = event(&usual());
    let rest = template.split_off(6 + usual().len());
    template.truncate(6);
    template.extend([OpenWith("Provider", NO), Attribute("Guid")]);
    template.extend([Text(FOREIGN_GUID), Attribute("Zzz")]);
    chunk.definition(&template);
    chunk.bytes.pop();
    chunk.bytes.extend([0x05, 0x01, 4, 0]);
    chunk.end(start);

    // Size 0x4006: an attribute whose name stands at 0x40. The number: value 0, the end of
    // Provider, and the start of a text. The time: the text's length.
    let foreign = chunk.begin();
    chunk.put(foreign + 8, &[0, 0x0e, 0, 0, 1, 3, 0x05, 0x01]);
    chunk.bytes.extend([0x0f, 1, 1, 0]);
    chunk.instance(known);
    chunk.values(&foreign_values());
    chunk.bytes.push(0);
    let mut tail = Chunk::default();
    let write_tail = |tail: &mut Chunk, at: usize| {
        tail.bytes.clear();
        tail.bytes.resize(at, 0);
        tail.tokens(&rest, true);
        tail.bytes.push(0);
        if (tail.bytes.len() - at) % 2 == 1 {
            tail.bytes.push(0);
        }
        tail.bytes.split_off(at)
    };
    let length = write_tail(&mut tail, 0).len();
    let tail_at = foreign + 0x4006 - 4 - length;
    let tail = write_tail(&mut tail, tail_at);
    let units = (tail_at - foreign - 18) / 2;
    chunk.put(foreign + 16, &(units as u16).to_le_bytes());
    chunk.bytes.resize(tail_at, 0);
    chunk.bytes.extend(tail);
    let body = chunk.at() - place - 24;
    chunk.put(place as usize + 20, &body.to_le_bytes());
    chunk.end(foreign);

    // 0x100 bytes more to cover.
    let second = chunk.begin();
    chunk.bytes.extend([0x0f, 1, 1, 0]);
    chunk.instance(known);
    chunk.values(&foreign_values());
    chunk.bytes.push(0);
    chunk.bytes.resize(second + 0x100 - 4, 0);
    chunk.end(second);
    chunk.record_of(known, &our_values());
    let mut name = Chunk::default();
    name.name_entry("Name");
    chunk.put(64, &name.bytes[512..]);
    chunk.finish()
}

/// A record of ours each that nests deep, and whether it can be decoded.
pub fn deep() -> Vec<(&'static str, Vec<u8>, bool)> {
    let nested = |count: usize| {
        let mut tokens = Vec::new();
        tokens.extend(std::iter::repeat_n([Open("a", NO), Close], count).flatten());
        tokens
    };
    let data = |inner: &[Token], depth: usize| {
        let mut tokens = vec![Open("EventData", NO), Close, Open("Data", NO), Close];
        tokens.extend(nested(depth));
        tokens.extend(inner.iter().cloned());
        tokens.extend(std::iter::repeat_n(End, depth + 2));
        tokens
    };
    let bare = |data: &[Token]| {
        let mut tokens = vec![Open("Event", NO), Close];
        tokens.extend(our_system());
        tokens.extend(data.iter().cloned());
        tokens.push(End);
        let mut chunk = Chunk::default();
        let start = chunk.begin();
        chunk.bytes.extend([0x0f, 1, 1, 0]);
        chunk.tokens(&tokens, false);
        chunk.bytes.push(0);
        chunk.end(start);
        chunk.finish()
    };
    let mut found = vec![
        ("500 elements", bare(&data(&[Token::Text("x")], 500)), true),
        ("600 elements", bare(&data(&[Token::Text("x")], 600)), false),
    ];

    // Fragments in fragments, as literal values. Names refer to the one that stands in the header,
    // so that a fragment is the same wherever it stands.
    for (title, levels, elements, decodes) in [
        ("60 fragments", 60, 1, true),
        ("70 fragments", 70, 1, false),
        ("60 fragments of 8 elements", 60, 8, true),
        ("60 fragments of 50 elements", 60, 50, false),
        ("10 fragments of 400 elements", 10, 400, false),
    ] {
        let open = [0x01, 0, 0, 0, 0, 64, 0, 0, 0, 0x02];
        let mut inner: Vec<u8> = Vec::new();
        for _ in 0..levels {
            let mut outer = vec![0x0f, 1, 1, 0];
            outer.extend(std::iter::repeat_n(open, elements).flatten());
            if !inner.is_empty() {
                outer.extend([0x05, 0x21]);
                outer.extend((inner.len() as u16).to_le_bytes());
                outer.extend(inner);
            }
            outer.extend(std::iter::repeat_n(0x04, elements));
            outer.push(0);
            inner = outer;
        }
        let mut literal = vec![0x05, 0x21];
        literal.extend((inner.len() as u16).to_le_bytes());
        literal.extend(inner);
        let mut chunk = bare(&data(&[Token::Raw(literal)], 0));
        put_name(&mut chunk);
        found.push((title, chunk, decodes));
    }

    // Instances in instances, all of one template.
    for (title, levels, elements, decodes) in [
        ("7 instances of 60 elements", 7, 60, true),
        ("60 instances of 6 elements", 60, 6, true),
        ("60 instances of 500 elements", 60, 500, false),
        ("63 instances of 1 element", 63, 1, true),
        ("200 instances of 500 elements", 200, 500, false),
    ] {
        let mut chunk = Chunk::default();
        let mut template = nested(elements);
        template.push(Normal(0));
        template.extend(std::iter::repeat_n(End, elements));
        let start = chunk.begin();
        chunk.bytes.extend([0x0f, 1, 1, 0]);
        let root = chunk.define(&event(&usual()));
        chunk.values(&foreign_values());
        chunk.bytes.push(0);
        // Behind what a foreign record holds.
        let definition = chunk.at();
        chunk.definition(&template);
        chunk.end(start);
        let mut inner = Vec::new();
        for _ in 0..levels {
            let mut outer = Chunk::default();
            outer.bytes.extend([0x0f, 1, 1, 0]);
            outer.instance(definition);
            outer.values(&[value(if inner.is_empty() { 0 } else { 0x21 }, &inner)]);
            outer.bytes.push(0);
            inner = outer.bytes.split_off(512);
        }
        let mut all = our_values();
        all[5] = value(0x21, &inner);
        chunk.record_of(root, &all);
        found.push((title, chunk.finish(), decodes));
    }
    found
}

/// The name `a` in the header, at 64.
fn put_name(chunk: &mut [u8]) {
    let mut name = Chunk::default();
    name.name_entry("a");
    chunk[64..][..name.bytes.len() - 512].copy_from_slice(&name.bytes[512..]);
    fix_checksums(chunk);
}
