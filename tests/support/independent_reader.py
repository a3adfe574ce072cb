#!/usr/bin/env python3
"""Prints the records of .evtx files as a second, independent reader sees them.

    independent_reader.py LOG.evtx ...

Needs python-evtx 0.8.1 (pip install python-evtx==0.8.1). One line a record, its columns separated
by tabs:

    file  record_id  time  event_id  provider  channel  computer  pid  tid  activity  sid  Name=Value ...

Each field is a column. What a record does not have is an empty column. In values, backslash, CR,
LF and tab are written as \\\\ \\r \\n \\t.

python-evtx decodes the bytes; only the spelling of some types is changed here, to the one that
Windows' own XML has:

- times with all seven digits and a Z (python-evtx computes with floats and rounds)
- hex numbers without leading zeros, pointers in hex, booleans in lower case, bytes in hex
- GUIDs with braces
- ANSI texts as Windows-1252 (python-evtx takes ASCII only)
- CR kept as a character reference, which the XML parser would drop otherwise

It cannot read records that use no template.
"""

import datetime
import os
import sys
import xml.etree.ElementTree as ElementTree

import Evtx.Evtx
import Evtx.Nodes as nodes
import Evtx.Views as views

NAMESPACE = "{http://schemas.microsoft.com/win/2004/08/events/event}"


def time_text(filetime):
    whole = datetime.datetime(1601, 1, 1) + datetime.timedelta(seconds=filetime // 10_000_000)
    return f"{whole.isoformat()}.{filetime % 10_000_000:07}Z"


def spell_as_windows():
    nodes.FiletimeTypeNode.string = lambda node: time_text(node.unpack_qword(0))
    nodes.Hex32TypeNode.string = lambda node: f"{node.unpack_dword(0):#x}"
    nodes.Hex64TypeNode.string = lambda node: f"{node.unpack_qword(0):#x}"
    nodes.SizeTypeNode.string = lambda node: f"{node.num():#x}"
    nodes.BooleanTypeNode.string = lambda node: "true" if node.int32() else "false"
    nodes.BinaryTypeNode.string = lambda node: bytes(node.binary()).hex().upper()
    nodes.GuidTypeNode.string = lambda node: "{" + node.guid() + "}"
    nodes.StringTypeNode.string = lambda node: (
        node.unpack_binary(0, node.tag_length()).decode("cp1252").rstrip("\0")
    )
    escape_value = views.escape_value
    views.escape_value = lambda text: escape_value(text).replace("\r", "&#13;")


def one_line(text):
    text = (text or "").replace("\\", "\\\\")
    return text.replace("\r", "\\r").replace("\n", "\\n").replace("\t", "\\t")


def columns(record):
    event = ElementTree.fromstring(record.xml())
    system = event.find(NAMESPACE + "System")

    def text(element):
        return system.findtext(NAMESPACE + element, "")

    def attribute(element, name):
        found = system.find(NAMESPACE + element)
        return "" if found is None else found.get(name, "")

    yield text("EventRecordID")
    yield attribute("TimeCreated", "SystemTime")
    yield text("EventID")
    yield attribute("Provider", "Name")
    yield text("Channel")
    yield text("Computer")
    yield attribute("Execution", "ProcessID")
    yield attribute("Execution", "ThreadID")
    yield attribute("Correlation", "ActivityID")
    yield attribute("Security", "UserID")
    for data in event.iterfind(f"{NAMESPACE}EventData/{NAMESPACE}Data"):
        yield f"{data.get('Name')}={data.text or ''}"


def main():
    if len(sys.argv) < 2:
        sys.exit("usage: independent_reader.py LOG.evtx ...")
    spell_as_windows()
    for path in sys.argv[1:]:
        with Evtx.Evtx.Evtx(path) as log:
            for record in log.records():
                line = [os.path.basename(path), *columns(record)]
                print("\t".join(map(one_line, line)))


if __name__ == "__main__":
    main()
