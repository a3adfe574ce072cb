//! Error codes: every spelling in, one 32-bit number out, and which family it belongs to.
//!
//! The logs print one code as `0xc00484c1`, `3221521601`, `-1073445695` or
//! `Unknown HResult Error code: 0xc00484c1`. Server codes (`AADSTS50126`, `MSIS9682`) and WS-Trust
//! faults are text; [`server_codes`] and [`fault_text`] take them out of what the server said.

use crate::facts::{self, CodeInfo};
use memchr::memmem::Finder;
use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::sync::LazyLock;

/// One 32-bit Windows code: an NTSTATUS, an HRESULT or a Win32 number in either's clothing.
///
/// ```
/// use prtrace::facts::code::Code;
/// for spelling in ["0xC00484B2", "3221521586", "-1073445710", "--1073445710"] {
///     assert_eq!(Code::parse(spelling).unwrap().to_string(), "0xc00484b2");
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(pub u32);

/// Who defined a code. The number alone does not say whether it is an NTSTATUS or an HRESULT, so
/// the ranges of the sign-in components are asked before the generic layouts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// NTSTATUS of the system, 0xC000xxxx.
    Ntstatus,
    /// Entra plug-in of the cloud authentication package, 0xC0048xxx.
    CloudAp,
    /// Device registration, 0x801Cxxxx.
    Dsreg,
    /// Entra token libraries, 0xCAAxxxxx.
    Adal,
    /// Cryptographic keys, 0x800900xx.
    Nte,
    /// Security packages and certificates, 0x800903xx and up, 0x800Bxxxx.
    Sspi,
    /// Trusted Platform Module, 0x8028xxxx and 0x8029xxxx.
    Tpm,
    /// XML reader, 0xC00CExxx.
    Xml,
    /// WinINet and WinHTTP, numbers 12001 to 12287.
    Network,
    /// An HTTP status inside an HRESULT, 0x8019xxxx.
    Http,
    /// Another Win32 error inside an HRESULT, 0x8007xxxx.
    Win32,
    /// Mobile device management enrollment, 0x8018xxxx.
    Mdm,
    /// None of these.
    Other,
}

/// WinINet and WinHTTP errors: 12001 (ERROR_WINHTTP_OUT_OF_HANDLES) up to the end of their range.
const NETWORK_NUMBERS: std::ops::RangeInclusive<u32> = 12001..=12287;

/// CloudAP: the WS-Trust endpoint gave an error, so there is no SAML token. Event 1084 logs it
/// where it logs network errors otherwise.
pub(crate) const SAML_TOKENS_ARE_EMPTY: Code = Code(0xc004_84c1);

/// Codes that only say that something below or beyond failed: they never win over what they wrap.
const WRAPPERS: [u32; 15] = [
    0x801c_0021, // discovery failed
    0x801c_003d, // realm discovery of the device's domain failed
    0x801c_03f2, // directory failure at the server
    0x801c_0002, // device authentication error at the server
    0x801c_0006, // internal error at the server
    0xcaa9_0006, // WS-Trust token request failed
    0xcaa1_002d, // operation pending
    0xcaa2_0003, // invalid_grant
    0xcaa9_0014, // WS-Trust answered with a fault
    0xc000_006d, // logon failure
    0xc000_006a, // wrong password
    0xc000_00d0, // request not accepted
    0xc000_023c, // network unreachable
    0xc000_00be, // bad network path
    0xc000_00c4, // unexpected network error
];

impl Code {
    /// Reads a code in any spelling the logs and tools use: hexadecimal with `0x`, signed or
    /// unsigned decimal (also with a doubled minus sign), or the text Windows prints for a number
    /// without a name, `Unknown HResult Error code: 0x801c001d`.
    pub fn parse(text: &str) -> Option<Code> {
        let text = text.trim();
        let number = match text.strip_prefix("Unknown ") {
            Some(rest) => rest.split_once(" Error code:")?.1.trim(),
            None => text,
        };
        if let Some(hex) = number
            .strip_prefix("0x")
            .or_else(|| number.strip_prefix("0X"))
        {
            if hex.starts_with(['+', '-']) {
                return None;
            }
            let wide = u64::from_str_radix(hex, 16).ok()?;
            // 64-bit fields hold the code sign-extended.
            return match (wide >> 32) as u32 {
                0 | u32::MAX => Some(Code(wide as u32)),
                _ => None,
            };
        }
        let digits = number.trim_start_matches('-');
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let magnitude: i64 = digits.parse().ok()?;
        match number.len() - digits.len() {
            0 => u32::try_from(magnitude).ok().map(Code),
            1 | 2 => i32::try_from(-magnitude).ok().map(|n| Code(n as u32)),
            _ => None,
        }
    }

    /// The spelling to compare by: one failure is logged as an NTSTATUS in one event and as an
    /// HRESULT in the next (`0xc00484c1` and `0x800484c1`).
    pub fn canonical(self) -> Code {
        let Code(code) = self;
        match code >> 16 {
            // The CloudAP codes as HRESULTs of facility 4; below 0x8000 these are COM's.
            0x8004 if code & 0x8000 != 0 => Code(code | 0x4000_0000),
            // HRESULT_FROM_NT sets bit 28.
            high if high & 0xf000 == 0xd000 => Code(code & !0x1000_0000),
            // NTSTATUS_FROM_WIN32, and crypto HRESULTs with bit 30 set.
            0xc007 | 0xc009 => Code(code & !0x4000_0000),
            _ => self,
        }
    }

    /// Whether the severity bit says failure.
    pub fn is_failure(self) -> bool {
        self.0 & 0x8000_0000 != 0
    }

    /// The component that defined the code.
    pub fn family(self) -> Family {
        let Code(code) = self.canonical();
        let low = code & 0xffff;
        match code >> 16 {
            0xc004 if low >= 0x8000 => Family::CloudAp,
            0xc000 => Family::Ntstatus,
            0x8007 if NETWORK_NUMBERS.contains(&low) => Family::Network,
            0x8007 => Family::Win32,
            0x8009 if low < 0x0300 => Family::Nte,
            0x8009 | 0x800b => Family::Sspi,
            0x8018 => Family::Mdm,
            0x8019 => Family::Http,
            0x801c => Family::Dsreg,
            0x8028 | 0x8029 => Family::Tpm,
            0xc00c if low >= 0xe000 => Family::Xml,
            0xcaa0..=0xcaaf => Family::Adal,
            _ => Family::Other,
        }
    }

    /// The WinINet or WinHTTP number inside the code: 12007 for `0x80072ee7` and `0xcaa82ee7`.
    pub fn network_number(self) -> Option<u16> {
        let Code(code) = self.canonical();
        let low = code & 0xffff;
        (matches!(code >> 16, 0x8007 | 0xcaa8) && NETWORK_NUMBERS.contains(&low))
            .then_some(low as u16)
    }

    /// Whether the code only wraps another one.
    pub fn is_wrapper(self) -> bool {
        WRAPPERS.contains(&self.canonical().0)
    }

    /// Whether the code names a fault on the client by itself: a client component defined it, and
    /// it is no wrapper.
    pub fn is_specific(self) -> bool {
        self.is_of_client() && self.is_failure() && !self.is_wrapper()
    }

    /// Whether a component of the client defined the code. An NTSTATUS that only wraps another code
    /// is none of these: it may stand for what the network said.
    pub(crate) fn is_of_client(self) -> bool {
        match self.family() {
            Family::CloudAp
            | Family::Dsreg
            | Family::Adal
            | Family::Nte
            | Family::Sspi
            | Family::Tpm
            | Family::Xml => true,
            Family::Ntstatus => !self.is_wrapper(),
            Family::Network | Family::Http | Family::Win32 | Family::Mdm | Family::Other => false,
        }
    }

    /// The constant's name, where a source publishes one.
    pub fn symbol(self) -> Option<&'static str> {
        self.table_rows().find_map(facts::row_symbol)
    }

    /// Its rows in the code table, by its number or by the number inside it, the most telling first.
    pub(crate) fn rows(self) -> impl Iterator<Item = CodeInfo> {
        self.table_rows().filter_map(CodeInfo::from_row)
    }

    fn table_rows(self) -> impl Iterator<Item = &'static str> {
        let code = self.canonical();
        let hex = code.spelled();
        let inner = match code.0 >> 16 {
            0xcaa3 => Some("http"),
            0xcaa8 => Some("winhttp"),
            _ => None,
        };
        // Success is everybody's.
        let spaces = match code.0 {
            0 => Family::Ntstatus.spaces(),
            _ => code.family().spaces(),
        };
        spaces
            .iter()
            .copied()
            .chain(inner)
            .filter_map(move |space| {
                let hex = str::from_utf8(&hex).unwrap_or_default();
                let low = || (code.0 & 0xffff).to_string();
                facts::code_row(space, hex).or_else(|| facts::code_row(space, &low()))
            })
    }

    /// `0x` and 8 lower-case digits.
    pub(crate) fn spelled(self) -> [u8; 10] {
        let digit = |shift: u32| {
            let digit = char::from_digit(self.0 >> shift & 0xf, 16);
            digit.map_or(b'0', |digit| digit as u8)
        };
        let [a, b, c, d, e, f, g, h] = [28, 24, 20, 16, 12, 8, 4, 0].map(digit);
        [b'0', b'x', a, b, c, d, e, f, g, h]
    }
}

impl Family {
    /// The spaces of the code table that its codes are in: by their number, or by its low half.
    /// WinHTTP's names say more than WinINet's for the same numbers.
    fn spaces(self) -> &'static [&'static str] {
        match self {
            Family::Ntstatus => &["ntstatus"],
            Family::CloudAp => &["cloudap"],
            Family::Dsreg => &["dsreg"],
            Family::Adal => &["adal"],
            Family::Nte => &["nte"],
            Family::Sspi => &["sspi"],
            Family::Tpm => &["tpm"],
            Family::Xml => &["xml"],
            Family::Network => &["winhttp", "wininet"],
            Family::Http => &["http"],
            Family::Win32 => &["win32"],
            Family::Mdm => &["mdm"],
            Family::Other => &[],
        }
    }

    /// The family in words.
    pub(crate) fn description(self) -> &'static str {
        match self {
            Family::Ntstatus => "an NTSTATUS of Windows",
            Family::CloudAp => "a code of the Entra plug-in of the sign-in package",
            Family::Dsreg => "a code of device registration",
            Family::Adal => "a code of the Entra token libraries",
            Family::Nte => "a code of cryptographic keys",
            Family::Sspi => "a code of security packages or certificates",
            Family::Tpm => "a code of the Trusted Platform Module",
            Family::Xml => "a code of the XML reader",
            Family::Network => "a network error of WinHTTP or WinINet",
            Family::Http => "an HTTP status",
            Family::Win32 => "a Win32 error",
            Family::Mdm => "a code of device management enrollment",
            Family::Other => "a code of no known family",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(str::from_utf8(&self.spelled()).unwrap_or_default())
    }
}

/// The server codes in a text, in their order and without repeats: `AADSTS` with 5 to 7 digits,
/// `MSIS` with its digits, and bare AADSTS numbers from `"error_codes":[50126]` or
/// `error?code=50126`.
///
/// A longer run of digits is never cut down to a shorter code.
///
/// ```
/// use prtrace::facts::code::server_codes;
/// let text = "AADSTS70002: Error validating credentials. AADSTS50126: Invalid password.";
/// assert_eq!(server_codes(text), ["AADSTS70002", "AADSTS50126"]);
/// ```
pub fn server_codes(text: &str) -> Vec<Cow<'_, str>> {
    let places = server_code_places(text);
    // Every failing window keeps its codes: collecting in place would keep the room of the places.
    let mut codes = Vec::with_capacity(places.len());
    codes.extend(places.into_iter().map(|(_, code)| code));
    codes
}

/// The same, each with the place where it is first.
pub(crate) fn server_code_places(text: &str) -> Vec<(usize, Cow<'_, str>)> {
    /// Made once: nearly every text is searched for all of them.
    static MARKERS: LazyLock<[Finder<'static>; 4]> =
        LazyLock::new(|| ["AADSTS", "MSIS", "\"error_codes\":", "error?code="].map(Finder::new));
    let [aadsts, msis, error_codes, error_code] = &*MARKERS;
    let mut found: Vec<(usize, Cow<'_, str>)> = Vec::new();
    for (finder, lengths) in [(aadsts, 5..=7), (msis, 4..=5)] {
        for at in finder.find_iter(text.as_bytes()) {
            let inside_word = text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
            let end = at + finder.needle().len();
            let digits = leading_digits(&text[end..]);
            if !inside_word && lengths.contains(&digits.len()) {
                found.push((at, text[at..end + digits.len()].into()));
            }
        }
    }
    for marker in [error_codes, error_code] {
        for at in marker.find_iter(text.as_bytes()) {
            let list = text[at + marker.needle().len()..].trim_start_matches([' ', '[']);
            let mut rest = list;
            loop {
                let digits = leading_digits(rest);
                if !(5..=7).contains(&digits.len()) {
                    break;
                }
                let position = text.len() - rest.len();
                found.push((position, format!("AADSTS{digits}").into()));
                rest = rest[digits.len()..].trim_start_matches([' ', ',']);
            }
        }
    }
    if found.len() > 1 {
        found.sort_unstable();
        let mut seen = HashSet::new();
        found.retain(|(_, code)| seen.insert(code.clone()));
    }
    found
}

/// The digits that a text begins with; none of a word with other letters in it.
fn leading_digits(text: &str) -> &str {
    let end = text.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, rest) = text.split_at(end);
    match rest.starts_with(|c: char| c.is_alphanumeric() || c == '_') {
        true => "",
        false => digits,
    }
}

/// The words of a WS-Trust fault and the AD FS identifier (`ID3242`) in them, out of the raw
/// `<s:Text>` XML that event 1088 holds. Text that is no XML is taken as it is.
pub fn fault_text(raw: &str) -> (String, Option<String>) {
    let text = element_text(raw).unwrap_or_else(|| raw.trim().to_owned());
    let detail = text.match_indices("ID").find_map(|(at, _)| {
        let inside_word = text[..at].ends_with(|c: char| c.is_alphanumeric());
        let digits = leading_digits(&text[at + 2..]);
        (!inside_word && digits.len() == 4).then(|| format!("ID{digits}"))
    });
    (text, detail)
}

/// The text of an XML fragment, entities resolved; nothing if it is not XML or has no text.
fn element_text(raw: &str) -> Option<String> {
    use quick_xml::events::Event;
    if !raw.trim_start().starts_with('<') {
        return None;
    }
    let mut reader = quick_xml::Reader::from_str(raw);
    reader.config_mut().check_end_names = false;
    let mut text = String::new();
    loop {
        match reader.read_event() {
            Ok(Event::Text(part)) => text.push_str(&part),
            Ok(Event::CData(part)) => text.push_str(&part),
            Ok(Event::GeneralRef(entity)) => crate::base::xml::push_entity(&mut text, &entity),
            Ok(Event::Eof) => break,
            // The description is often cut off: what came before the cut still counts.
            Err(_) => break,
            Ok(_) => {}
        }
    }
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}
