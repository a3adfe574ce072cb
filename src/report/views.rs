//! Windows and their events as the report holds them: what each says is made when it is asked for.

use super::build;
use super::{
    DiagnosisReport, EventReport, Id, LinkReport, OperationName, OutcomeName, PrtName, Time,
    WindowReport,
};
use crate::conclude::Analysis;
use crate::conclude::window::{Mark, Member};
use crate::event::Event;
use crate::machine::Machine;
use serde::{Serialize, Serializer};
use std::collections::HashSet;

/// The windows of a machine, each made when it is asked for: what all of them say takes more room
/// than what it is made from.
#[derive(Debug)]
pub struct Windows<'a> {
    pub(super) machine: &'a Machine,
    pub(super) analysis: &'a Analysis<'a>,
    /// Which of the machine's windows they are.
    pub(super) numbers: Vec<usize>,
    /// The runs that links may lead to, if not to all.
    pub(super) runs: Option<HashSet<Id>>,
}

impl<'a> Windows<'a> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// The window at a place.
    pub fn get(&self, place: usize) -> Option<WindowReport<'a>> {
        build::window_report(self, *self.numbers.get(place)?)
    }

    /// The windows, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = WindowReport<'a>> {
        let numbers = self.numbers.iter();
        numbers.filter_map(|number| build::window_report(self, *number))
    }

    /// Those that ended so, in order.
    pub fn that(&self, ended: OutcomeName) -> impl DoubleEndedIterator<Item = WindowReport<'a>> {
        let numbers = self.numbered(ended);
        numbers.filter_map(|number| build::window_report(self, number))
    }

    /// How many ended so.
    pub fn count(&self, ended: OutcomeName) -> usize {
        self.numbered(ended).count()
    }

    fn numbered(&self, ended: OutcomeName) -> impl DoubleEndedIterator<Item = usize> {
        let outcome = |number: usize| Some(self.analysis.windows.get(number)?.outcome.into());
        let numbers = self.numbers.iter().copied();
        numbers.filter(move |number| outcome(*number) == Some(ended))
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = Id> {
        self.numbers.iter().map(|number| Id::Window(*number))
    }

    pub(super) fn retain(&mut self, is_kept: impl Fn(Id) -> bool) {
        self.numbers.retain(|number| is_kept(Id::Window(*number)));
    }

    pub(super) fn retain_reports(&mut self, is_kept: impl Fn(&WindowReport<'a>) -> bool) {
        let mut numbers = std::mem::take(&mut self.numbers);
        numbers.retain(|number| {
            let window = build::window_report(self, *number);
            window.is_some_and(|window| is_kept(&window))
        });
        self.numbers = numbers;
    }

    /// What tells the failed ones apart, in order.
    pub(crate) fn failures(&self) -> impl Iterator<Item = FailedWindow<'a>> {
        let numbers = self.numbered(OutcomeName::Failed);
        numbers.filter_map(|number| build::failed_window(self, number))
    }
}

impl Serialize for Windows<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

/// What of a failed window tells which failure it is.
#[derive(Debug)]
pub(crate) struct FailedWindow<'a> {
    pub(crate) id: Id,
    pub(crate) operation: OperationName,
    pub(crate) prt: PrtName,
    pub(crate) end: Time,
    pub(crate) first_failure: Option<&'a Event>,
    pub(crate) decisive: Option<&'a str>,
    pub(crate) diagnosis: Option<DiagnosisReport<'a>>,
    pub(crate) registrations: Vec<LinkReport>,
}

/// Events of a window, each made when it is asked for: most of a report are these.
#[derive(Clone, Copy, Debug)]
pub struct Members<'a> {
    pub(super) machine: &'a Machine,
    pub(super) analysis: &'a Analysis<'a>,
    pub(super) members: &'a [Member],
}

impl<'a> Members<'a> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The events, in order.
    pub fn iter(&self) -> impl Iterator<Item = EventReport<'a>> + use<'a> {
        let marked = self.marked();
        marked.map(|(event, mark, member)| {
            build::event_and_mark(event, mark, member.event(), Some(member.via))
        })
    }

    /// What the reports on them are made of.
    pub(super) fn marked(&self) -> impl Iterator<Item = (&'a Event, Mark, Member)> + use<'a> {
        let Members {
            machine,
            analysis,
            members,
        } = *self;
        members.iter().filter_map(move |member| {
            let event = machine.events.get(member.event())?;
            Some((event, analysis.mark(member.event()), *member))
        })
    }
}

impl Serialize for Members<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}
