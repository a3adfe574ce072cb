//! The data files of `src/facts`: their form, their names against those of Windows, and that no
//! advice in them does harm.

use prtrace::facts::code::Code;
use prtrace::facts::{code_info, codes};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

const CODES: &str = include_str!("../src/facts/codes.tsv");
const EVENTS: &str = include_str!("../src/facts/events.tsv");
const CAUSES: &str = include_str!("../src/facts/causes.toml");

/// No sentence is longer, so that a reader gets through it.
const LONGEST: usize = 400;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cause {
    class: String,
    stage: String,
    summary: String,
    cause: String,
    next_steps: Vec<String>,
    #[serde(default)]
    registration_steps: Vec<String>,
    sources: Vec<String>,
}

fn causes() -> BTreeMap<String, Cause> {
    toml::from_str(CAUSES).unwrap()
}

/// Rows with their number in the file, split into columns; the first line names the columns.
fn rows(table: &str) -> Vec<(usize, Vec<&str>)> {
    let lines = table.lines().zip(1..);
    let rows = lines.filter(|(row, _)| !row.starts_with('#'));
    rows.map(|(row, number)| (number, row.split('\t').collect()))
        .collect()
}

/// What every text of a data file must be.
fn assert_clean(text: &str, place: &str) {
    assert!(!text.is_empty(), "{place}: empty");
    assert_eq!(text.trim(), text, "{place}: blanks around it");
    assert!(!text.contains("  "), "{place}: two blanks");
    let control = text
        .chars()
        .find(|c| c.is_control() || ('\u{200b}'..='\u{200f}').contains(c));
    assert_eq!(control, None, "{place}");
    assert!(!text.contains('\u{a0}'), "{place}: a hard blank");
    for sentence in text.split_inclusive(". ") {
        assert!(
            sentence.chars().count() <= LONGEST,
            "{place}: too long a sentence"
        );
    }
    for quote in ['`', '"'] {
        assert_eq!(text.matches(quote).count() % 2, 0, "{place}: {text}");
    }
    let opened = text.matches('(').count();
    assert_eq!(opened, text.matches(')').count(), "{place}: {text}");
}

#[test]
fn the_tables_are_whole_sorted_and_unique() {
    for (name, table, columns, keys) in [("codes.tsv", CODES, 8, 2), ("events.tsv", EVENTS, 10, 2)]
    {
        assert!(!table.contains('\r'), "{name}");
        assert!(table.ends_with('\n') && !table.ends_with("\n\n"), "{name}");
        let header = table.lines().next().unwrap();
        assert_eq!(header.split('\t').count(), columns, "{name}: {header}");
        assert_eq!(table.lines().filter(|row| row.starts_with('#')).count(), 1);
        let mut seen = BTreeSet::new();
        for (number, row) in rows(table) {
            assert_eq!(row.len(), columns, "{name}:{number}");
            for text in &row {
                assert!(!text.is_empty(), "{name}:{number}: - stands for nothing");
                assert_eq!(text.trim(), *text, "{name}:{number}");
                assert!(!text.contains(char::is_control), "{name}:{number}");
            }
            let key: Vec<&str> = row[..keys].to_vec();
            assert!(seen.insert(key), "{name}:{number}: twice");
        }
    }
    let keys: Vec<_> = rows(CODES)
        .iter()
        .map(|(_, row)| (row[0], row[1]))
        .collect();
    assert!(keys.is_sorted());
    let keys: Vec<(&str, u32)> = rows(EVENTS)
        .iter()
        .map(|(_, row)| (row[0], row[1].parse().unwrap()))
        .collect();
    assert!(keys.is_sorted());
}

#[test]
fn codes_are_spelled_as_their_space_spells_them() {
    for (number, row) in rows(CODES) {
        let (space, code) = (row[0], row[1]);
        let is_number = code.bytes().all(|b| b.is_ascii_digit());
        let is_hex = Code::parse(code).is_some_and(|parsed| parsed.to_string() == code);
        let fits = match space {
            "aadsts" => code.strip_prefix("AADSTS").is_some_and(|digits| {
                (5..=7).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit())
            }),
            "adfs" => code
                .strip_prefix("MSIS")
                .is_some_and(|digits| digits.len() == 4),
            "adal" | "cloudap" | "dsreg" | "mdm" | "ntstatus" | "nte" | "sspi" | "tpm"
            | "wininet" | "xml" => is_hex,
            // 0x8007000d has a name of its own in the guides.
            "win32" => is_number || code == "0x8007000d",
            "http" => is_number && code.len() == 3,
            "winhttp" => is_number && code.len() == 5,
            "drs" | "oauth" | "wstrust" => code.starts_with(|c: char| c.is_ascii_alphabetic()),
            other => panic!("line {number}: {other} is no space"),
        };
        assert!(fits, "line {number}: {space} {code}");
        let is_name = |symbol: &str| {
            symbol
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'_')
        };
        assert!(
            row[2] == "-" || is_name(row[2]),
            "line {number}: {}",
            row[2]
        );
    }
}

#[test]
fn every_row_with_words_has_a_source_and_clean_words() {
    for row in codes() {
        let place = format!("{} {}", row.space, row.code);
        let says = row.meaning.is_some() || row.cause.is_some() || row.next_steps().count() > 0;
        if says {
            assert!(row.sources().count() > 0, "{place}: no source");
        }
        assert!(row.symbol.is_some() || row.meaning.is_some(), "{place}");
        for text in [row.meaning, row.stage, row.cause].into_iter().flatten() {
            assert_clean(text, &place);
        }
        for text in row.next_steps().chain(row.sources()) {
            assert_clean(text, &place);
        }
        for step in row.next_steps() {
            assert!(step.ends_with('.'), "{place}: {step}");
        }
    }
}

#[test]
fn every_cause_is_whole() {
    const CLASSES: [&str; 9] = [
        "device",
        "user",
        "network",
        "federation",
        "tpm",
        "server",
        "configuration",
        "downstream",
        "unknown",
    ];
    let causes = causes();
    assert!(causes.len() > 50);
    for (name, cause) in &causes {
        assert!(
            name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'),
            "{name}"
        );
        assert!(CLASSES.contains(&cause.class.as_str()), "{name}");
        let texts = [&cause.stage, &cause.summary, &cause.cause];
        let steps = cause.next_steps.iter().chain(&cause.registration_steps);
        let lists = steps.clone().chain(&cause.sources);
        for text in texts.into_iter().chain(lists) {
            assert_clean(text, name);
        }
        for sentence in [&cause.summary, &cause.cause].into_iter().chain(steps) {
            assert!(sentence.ends_with('.'), "{name}: {sentence}");
        }
        assert!(!cause.next_steps.is_empty(), "{name}: nothing to do");
        assert!(!cause.sources.is_empty(), "{name}: no source");
        for list in [&cause.next_steps, &cause.registration_steps, &cause.sources] {
            let distinct: BTreeSet<_> = list.iter().collect();
            assert_eq!(distinct.len(), list.len(), "{name}: twice");
        }
    }
}

#[test]
fn summaries_are_one_sentence_with_known_marks_only() {
    for (name, cause) in causes() {
        let mut rest = cause.summary.as_str();
        while let Some((_, from)) = rest.split_once('{') {
            let (mark, after) = from.split_once('}').expect("the end of a mark");
            assert!(
                ["upn", "url", "code", "host", "time"].contains(&mark),
                "{name}: {mark}"
            );
            rest = after;
        }
        assert!(!cause.summary.contains(". "), "{name}: one sentence");
        assert!(!cause.cause.contains('{'), "{name}");
        assert!(!cause.stage.contains('{'), "{name}");
    }
}

/// Every list of steps that the files hold.
fn all_steps() -> Vec<(String, String, Vec<String>)> {
    let causes = causes().into_iter().flat_map(|(name, cause)| {
        [cause.next_steps, cause.registration_steps]
            .map(|steps| (name.clone(), cause.class.clone(), steps))
    });
    let rows = codes().map(|row| {
        let steps = row.next_steps().map(str::to_owned).collect();
        (format!("{} {}", row.space, row.code), String::new(), steps)
    });
    causes.chain(rows).collect()
}

fn saves_the_logs(step: &str) -> bool {
    let step = step.to_lowercase();
    step.starts_with("save the") && step.contains("logs")
}

fn reboots(step: &str) -> bool {
    let step = step.to_lowercase();
    ["restart", "reboot"].iter().any(|word| step.contains(word))
}

/// Whether a step tells to undo or redo the registration.
fn registers_again(step: &str) -> bool {
    let step = step.to_lowercase();
    let forbids = step.starts_with("do not") || step.contains("do not register");
    let tells = [
        "dsregcmd /leave",
        "dsregcmd /debug /join",
        "dsregcmd /join",
        "dsregcmd /forcerecovery",
        "remove and add back the work account",
        "automatic-device-join\"`",
    ];
    !forbids && tells.iter().any(|words| step.contains(words))
}

#[test]
fn leaving_comes_after_the_logs_are_saved_and_before_a_restart() {
    let mut found = 0;
    for (name, _, steps) in all_steps() {
        for (at, step) in steps.iter().enumerate() {
            if !step.contains("dsregcmd /leave") {
                continue;
            }
            found += 1;
            assert!(
                steps[..at].iter().any(|step| saves_the_logs(step)),
                "{name}: {step}"
            );
            let (_, after) = step.split_once("dsregcmd /leave").unwrap();
            let later = steps[at + 1..].iter().any(|step| reboots(step));
            assert!(reboots(after) || later, "{name}: {step}");
            assert!(
                steps[..=at].iter().any(|step| step.contains("Get-Tpm")),
                "{name}: the TPM is not looked at before {step}"
            );
        }
    }
    assert!(found >= 3, "{found}");
}

#[test]
fn nothing_clears_the_tpm() {
    for (name, _, steps) in all_steps() {
        for step in steps {
            let step = step.to_lowercase();
            assert!(!step.contains("clear-tpm"), "{name}: {step}");
            assert!(!step.contains("initialize-tpm"), "{name}: {step}");
            if !step.contains("tpm") {
                continue;
            }
            for verb in ["clear", "reset", "wipe", "erase"] {
                for (at, _) in step.match_indices(verb) {
                    let before = &step[..at];
                    let forbids = before.ends_with("do not ");
                    // What has happened is asked for, not told to do.
                    let asks = step.starts_with("ask what changed");
                    assert!(forbids || asks, "{name}: {step}");
                }
            }
        }
    }
}

#[test]
fn the_network_is_traced_without_fiddler() {
    for (name, _, steps) in all_steps() {
        for step in steps {
            for (at, _) in step.match_indices("Fiddler") {
                assert!(step[..at].ends_with("without "), "{name}: {step}");
            }
        }
    }
}

#[test]
fn a_broken_tpm_is_looked_at_before_anything_registers_again() {
    let mut found = 0;
    for (name, class, steps) in all_steps() {
        if class != "tpm" {
            continue;
        }
        if let Some(at) = steps.iter().position(|step| registers_again(step)) {
            found += 1;
            assert!(
                steps[..at].iter().any(|step| step.contains("Get-Tpm")),
                "{name}: {}",
                steps[at]
            );
        }
    }
    assert!(found >= 2, "{found}");
}

#[test]
fn advice_to_register_again_in_the_table_names_its_conditions() {
    for row in codes() {
        for step in row.next_steps() {
            let step = step.to_lowercase();
            if step.contains("register the device again") {
                for word in ["save the logs", "get-tpm", "keysigntest"] {
                    assert!(step.contains(word), "{} {}: {step}", row.space, row.code);
                }
            }
        }
    }
}

/// The modules of `windows-sys`, generated from the metadata of Windows.
mod windows {
    pub(crate) use windows_sys::Win32::Foundation;
    pub(crate) use windows_sys::Win32::Networking::{WinHttp, WinSock};
    pub(crate) use windows_sys::Win32::Security::Credentials;
}

/// (space, code of the table, constant, its value in Windows)
macro_rules! constants {
    ($(mod $module:ident, space $space:literal: $($name:ident $code:literal)*;)*) => {
        [$($(($space, $code, stringify!($name), windows::$module::$name as u32)),*),*]
    };
}

#[test]
fn the_names_of_codes_are_those_of_windows() {
    let constants = constants! {
        mod Foundation, space "ntstatus":
            STATUS_SUCCESS "0x00000000" STATUS_TIMEOUT "0x00000102" STATUS_PENDING "0x00000103"
            STATUS_UNSUCCESSFUL "0xc0000001" STATUS_INVALID_PARAMETER "0xc000000d"
            STATUS_NO_MEMORY "0xc0000017" STATUS_ACCESS_DENIED "0xc0000022"
            STATUS_OBJECT_NAME_NOT_FOUND "0xc0000034" STATUS_NO_LOGON_SERVERS "0xc000005e"
            STATUS_INVALID_LOGON_HOURS "0xc000006f" STATUS_INVALID_WORKSTATION "0xc0000070"
            STATUS_DEVICE_NOT_READY "0xc00000a3" STATUS_IO_TIMEOUT "0xc00000b5"
            STATUS_NOT_SUPPORTED "0xc00000bb" STATUS_BAD_NETWORK_PATH "0xc00000be"
            STATUS_UNEXPECTED_NETWORK_ERROR "0xc00000c4" STATUS_NETWORK_NAME_DELETED "0xc00000c9"
            STATUS_BAD_NETWORK_NAME "0xc00000cc" STATUS_REQUEST_NOT_ACCEPTED "0xc00000d0"
            STATUS_NO_SUCH_DOMAIN "0xc00000df" STATUS_INTERNAL_ERROR "0xc00000e5"
            STATUS_NO_SUCH_PACKAGE "0xc00000fe" STATUS_CANCELLED "0xc0000120"
            STATUS_TIME_DIFFERENCE_AT_DC "0xc0000133" STATUS_LOGON_NOT_GRANTED "0xc0000155"
            STATUS_NO_TRUST_SAM_ACCOUNT "0xc000018b" STATUS_TRUSTED_DOMAIN_FAILURE "0xc000018c"
            STATUS_TRUSTED_RELATIONSHIP_FAILURE "0xc000018d" STATUS_TRUST_FAILURE "0xc0000190"
            STATUS_NETLOGON_NOT_STARTED "0xc0000192" STATUS_USER_SESSION_DELETED "0xc0000203"
            STATUS_CONNECTION_DISCONNECTED "0xc000020c" STATUS_CONNECTION_RESET "0xc000020d"
            STATUS_CANNOT_LOAD_REGISTRY_FILE "0xc0000218" STATUS_NOT_FOUND "0xc0000225"
            STATUS_DOMAIN_CONTROLLER_NOT_FOUND "0xc0000233" STATUS_CONNECTION_REFUSED "0xc0000236"
            STATUS_CONNECTION_INVALID "0xc000023a" STATUS_NETWORK_UNREACHABLE "0xc000023c"
            STATUS_HOST_UNREACHABLE "0xc000023d" STATUS_PROTOCOL_UNREACHABLE "0xc000023e"
            STATUS_PORT_UNREACHABLE "0xc000023f" STATUS_REQUEST_ABORTED "0xc0000240"
            STATUS_CONNECTION_ABORTED "0xc0000241" STATUS_DECRYPTION_FAILED "0xc000028b"
            STATUS_NO_IP_ADDRESSES "0xc00002f1" STATUS_PKINIT_NAME_MISMATCH "0xc00002f9"
            STATUS_SMARTCARD_LOGON_REQUIRED "0xc00002fa" STATUS_KDC_INVALID_REQUEST "0xc00002fb"
            STATUS_KDC_UNABLE_TO_REFER "0xc00002fc" STATUS_KDC_UNKNOWN_ETYPE "0xc00002fd"
            STATUS_SHUTDOWN_IN_PROGRESS "0xc00002fe" STATUS_PKINIT_FAILURE "0xc0000320"
            STATUS_SMARTCARD_WRONG_PIN "0xc0000380" STATUS_SMARTCARD_CARD_BLOCKED "0xc0000381"
            STATUS_SMARTCARD_NO_CERTIFICATE "0xc0000385" STATUS_SMARTCARD_NO_KEYSET "0xc0000386"
            STATUS_ISSUING_CA_UNTRUSTED "0xc000038a" STATUS_REVOCATION_OFFLINE_C "0xc000038b"
            STATUS_PKINIT_CLIENT_FAILURE "0xc000038c" STATUS_SMARTCARD_SILENT_CONTEXT "0xc000038f"
            STATUS_KDC_CERT_EXPIRED "0xc000040e" STATUS_KDC_CERT_REVOKED "0xc000040f"
            STATUS_INVALID_SIGNATURE "0xc000a000" STATUS_PCP_ATTESTATION_CHALLENGE_NOT_SET "0xc0292012"
            RPC_NT_SERVER_UNAVAILABLE "0xc0020017";
        mod Credentials, space "ntstatus":
            STATUS_NO_SUCH_LOGON_SESSION "0xc000005f" STATUS_NO_SUCH_USER "0xc0000064"
            STATUS_WRONG_PASSWORD "0xc000006a" STATUS_LOGON_FAILURE "0xc000006d"
            STATUS_ACCOUNT_RESTRICTION "0xc000006e" STATUS_PASSWORD_EXPIRED "0xc0000071"
            STATUS_ACCOUNT_DISABLED "0xc0000072" STATUS_LOGON_TYPE_NOT_GRANTED "0xc000015b"
            STATUS_ACCOUNT_EXPIRED "0xc0000193" STATUS_PASSWORD_MUST_CHANGE "0xc0000224"
            STATUS_ACCOUNT_LOCKED_OUT "0xc0000234" STATUS_DOWNGRADE_DETECTED "0xc0000388"
            STATUS_AUTHENTICATION_FIREWALL_FAILED "0xc0000413";
        mod Foundation, space "win32":
            ERROR_NO_TOKEN "1008" ERROR_SERVICE_DOES_NOT_EXIST "1060" ERROR_SERVICE_NOT_ACTIVE "1062"
            ERROR_IO_DEVICE "1117" ERROR_NOT_FOUND "1168" ERROR_SEM_TIMEOUT "121"
            ERROR_INSUFFICIENT_BUFFER "122" ERROR_NO_NETWORK "1222" ERROR_CANCELLED "1223"
            ERROR_CONNECTION_REFUSED "1225" ERROR_NETWORK_UNREACHABLE "1231"
            ERROR_HOST_UNREACHABLE "1232" ERROR_REQUEST_ABORTED "1235" ERROR_CONNECTION_ABORTED "1236"
            ERROR_NOT_AUTHENTICATED "1244" ERROR_INVALID_DATA "13" ERROR_UNKNOWN_REVISION "1305"
            ERROR_NO_LOGON_SERVERS "1311" ERROR_NO_SUCH_LOGON_SESSION "1312"
            ERROR_PRIVILEGE_NOT_HELD "1314" ERROR_INVALID_ACCOUNT_NAME "1315" ERROR_NO_SUCH_USER "1317"
            ERROR_LOGON_FAILURE "1326" ERROR_ACCOUNT_RESTRICTION "1327" ERROR_PASSWORD_EXPIRED "1330"
            ERROR_ACCOUNT_DISABLED "1331" ERROR_NONE_MAPPED "1332" ERROR_INVALID_SID "1337"
            ERROR_NO_SUCH_DOMAIN "1355" ERROR_INTERNAL_ERROR "1359" ERROR_TOO_MANY_SECRETS "1381"
            ERROR_LOGON_TYPE_NOT_GRANTED "1385" ERROR_WRONG_TARGET_NAME "1396" ERROR_TIME_SKEW "1398"
            ERROR_CLASS_HAS_WINDOWS "1412" ERROR_NO_SYSTEM_RESOURCES "1450" ERROR_TIMEOUT "1460"
            ERROR_NO_TRUST_LSA_SECRET "1786" ERROR_NO_TRUST_SAM_ACCOUNT "1787"
            ERROR_TRUSTED_DOMAIN_FAILURE "1788" ERROR_TRUSTED_RELATIONSHIP_FAILURE "1789"
            ERROR_NETLOGON_NOT_STARTED "1792" ERROR_ACCOUNT_EXPIRED "1793"
            ERROR_PASSWORD_MUST_CHANGE "1907" ERROR_ACCOUNT_LOCKED_OUT "1909" ERROR_FILE_NOT_FOUND "2"
            ERROR_NO_MORE_ITEMS "259" ERROR_GEN_FAILURE "31" ERROR_ACCESS_DENIED "5"
            ERROR_NOT_SUPPORTED "50" ERROR_BAD_NETPATH "53" ERROR_INVALID_HANDLE "6"
            ERROR_NETNAME_DELETED "64" ERROR_NOT_ENOUGH_MEMORY "8" ERROR_DS_OPERATIONS_ERROR "8224"
            ERROR_DS_NO_SUCH_OBJECT "8240" ERROR_DS_GENERIC_ERROR "8341"
            ERROR_DS_INTERNAL_FAILURE "8430" ERROR_DS_DRA_ACCESS_DENIED "8453"
            ERROR_DS_DNS_LOOKUP_FAILURE "8524" ERROR_INVALID_PARAMETER "87"
            DNS_ERROR_RCODE_SERVER_FAILURE "9002" DNS_ERROR_RCODE_NAME_ERROR "9003"
            ERROR_IO_PENDING "997";
        mod WinSock, space "win32":
            WSAEACCES "10013" WSAENETDOWN "10050" WSAENETUNREACH "10051" WSAECONNABORTED "10053"
            WSAECONNRESET "10054" WSAETIMEDOUT "10060" WSAECONNREFUSED "10061" WSAEHOSTUNREACH "10065"
            WSAHOST_NOT_FOUND "11001" WSATRY_AGAIN "11002";
        mod WinHttp, space "winhttp":
            ERROR_WINHTTP_OUT_OF_HANDLES "12001" ERROR_WINHTTP_TIMEOUT "12002"
            ERROR_WINHTTP_INTERNAL_ERROR "12004" ERROR_WINHTTP_INVALID_URL "12005"
            ERROR_WINHTTP_UNRECOGNIZED_SCHEME "12006" ERROR_WINHTTP_NAME_NOT_RESOLVED "12007"
            ERROR_WINHTTP_INVALID_OPTION "12009" ERROR_WINHTTP_OPTION_NOT_SETTABLE "12011"
            ERROR_WINHTTP_SHUTDOWN "12012" ERROR_WINHTTP_LOGIN_FAILURE "12015"
            ERROR_WINHTTP_OPERATION_CANCELLED "12017" ERROR_WINHTTP_INCORRECT_HANDLE_TYPE "12018"
            ERROR_WINHTTP_INCORRECT_HANDLE_STATE "12019" ERROR_WINHTTP_CANNOT_CONNECT "12029"
            ERROR_WINHTTP_CONNECTION_ERROR "12030" ERROR_WINHTTP_RESEND_REQUEST "12032"
            ERROR_WINHTTP_SECURE_CERT_DATE_INVALID "12037" ERROR_WINHTTP_SECURE_CERT_CN_INVALID "12038"
            ERROR_WINHTTP_CLIENT_AUTH_CERT_NEEDED "12044" ERROR_WINHTTP_SECURE_INVALID_CA "12045"
            ERROR_WINHTTP_SECURE_CERT_REV_FAILED "12057" ERROR_WINHTTP_CANNOT_CALL_BEFORE_OPEN "12100"
            ERROR_WINHTTP_CANNOT_CALL_BEFORE_SEND "12101" ERROR_WINHTTP_CANNOT_CALL_AFTER_SEND "12102"
            ERROR_WINHTTP_CANNOT_CALL_AFTER_OPEN "12103" ERROR_WINHTTP_HEADER_NOT_FOUND "12150"
            ERROR_WINHTTP_INVALID_SERVER_RESPONSE "12152" ERROR_WINHTTP_INVALID_HEADER "12153"
            ERROR_WINHTTP_INVALID_QUERY_REQUEST "12154" ERROR_WINHTTP_HEADER_ALREADY_EXISTS "12155"
            ERROR_WINHTTP_REDIRECT_FAILED "12156" ERROR_WINHTTP_SECURE_CHANNEL_ERROR "12157"
            ERROR_WINHTTP_BAD_AUTO_PROXY_SCRIPT "12166" ERROR_WINHTTP_UNABLE_TO_DOWNLOAD_SCRIPT "12167"
            ERROR_WINHTTP_SECURE_INVALID_CERT "12169" ERROR_WINHTTP_SECURE_CERT_REVOKED "12170"
            ERROR_WINHTTP_NOT_INITIALIZED "12172" ERROR_WINHTTP_SECURE_FAILURE "12175"
            ERROR_WINHTTP_UNHANDLED_SCRIPT_TYPE "12176" ERROR_WINHTTP_SCRIPT_EXECUTION_ERROR "12177"
            ERROR_WINHTTP_AUTO_PROXY_SERVICE_ERROR "12178"
            ERROR_WINHTTP_SECURE_CERT_WRONG_USAGE "12179" ERROR_WINHTTP_AUTODETECTION_FAILED "12180"
            ERROR_WINHTTP_HEADER_COUNT_EXCEEDED "12181" ERROR_WINHTTP_HEADER_SIZE_OVERFLOW "12182"
            ERROR_WINHTTP_CHUNKED_ENCODING_HEADER_SIZE_OVERFLOW "12183"
            ERROR_WINHTTP_RESPONSE_DRAIN_OVERFLOW "12184"
            ERROR_WINHTTP_CLIENT_CERT_NO_PRIVATE_KEY "12185"
            ERROR_WINHTTP_CLIENT_CERT_NO_ACCESS_PRIVATE_KEY "12186"
            ERROR_WINHTTP_CLIENT_AUTH_CERT_NEEDED_PROXY "12187"
            ERROR_WINHTTP_SECURE_FAILURE_PROXY "12188" ERROR_WINHTTP_RESERVED_189 "12189"
            ERROR_WINHTTP_HTTP_PROTOCOL_MISMATCH "12190" ERROR_WINHTTP_GLOBAL_CALLBACK_FAILED "12191"
            ERROR_WINHTTP_FEATURE_DISABLED "12192";
        mod Foundation, space "wininet":
            WININET_E_TIMEOUT "0x80072ee2" WININET_E_NAME_NOT_RESOLVED "0x80072ee7"
            WININET_E_CANNOT_CONNECT "0x80072efd" WININET_E_CONNECTION_ABORTED "0x80072efe"
            WININET_E_DECODING_FAILED "0x80072f8f" WININET_E_CONNECTION_RESET "0x80072eff"
            WININET_E_INVALID_CA "0x80072f0d" WININET_E_SEC_CERT_DATE_INVALID "0x80072f05"
            WININET_E_SEC_CERT_CN_INVALID "0x80072f06" WININET_E_SEC_CERT_REV_FAILED "0x80072f19"
            WININET_E_SEC_CERT_ERRORS "0x80072f17" WININET_E_SEC_INVALID_CERT "0x80072f89"
            WININET_E_SEC_CERT_REVOKED "0x80072f8a" WININET_E_SECURITY_CHANNEL_ERROR "0x80072f7d"
            WININET_E_DISCONNECTED "0x80072f83" WININET_E_SERVER_UNREACHABLE "0x80072f84"
            WININET_E_PROXY_SERVER_UNREACHABLE "0x80072f85"
            WININET_E_BAD_AUTO_PROXY_SCRIPT "0x80072f86"
            WININET_E_UNABLE_TO_DOWNLOAD_SCRIPT "0x80072f87"
            WININET_E_INVALID_SERVER_RESPONSE "0x80072f78" WININET_E_REDIRECT_FAILED "0x80072f7c"
            WININET_E_CLIENT_AUTH_CERT_NEEDED "0x80072f0c" WININET_E_INVALID_PROXY_REQUEST "0x80072f01"
            WININET_E_INTERNAL_ERROR "0x80072ee4";
        mod Foundation, space "nte":
            NTE_BAD_UID "0x80090001" NTE_BAD_HASH "0x80090002" NTE_BAD_KEY "0x80090003"
            NTE_BAD_LEN "0x80090004" NTE_BAD_DATA "0x80090005" NTE_BAD_SIGNATURE "0x80090006"
            NTE_BAD_VER "0x80090007" NTE_BAD_ALGID "0x80090008" NTE_BAD_FLAGS "0x80090009"
            NTE_BAD_TYPE "0x8009000a" NTE_BAD_KEY_STATE "0x8009000b" NTE_BAD_HASH_STATE "0x8009000c"
            NTE_NO_KEY "0x8009000d" NTE_NO_MEMORY "0x8009000e" NTE_EXISTS "0x8009000f"
            NTE_PERM "0x80090010" NTE_NOT_FOUND "0x80090011" NTE_DOUBLE_ENCRYPT "0x80090012"
            NTE_BAD_PROVIDER "0x80090013" NTE_BAD_PROV_TYPE "0x80090014"
            NTE_BAD_PUBLIC_KEY "0x80090015" NTE_BAD_KEYSET "0x80090016"
            NTE_PROV_TYPE_NOT_DEF "0x80090017" NTE_PROV_TYPE_ENTRY_BAD "0x80090018"
            NTE_KEYSET_NOT_DEF "0x80090019" NTE_KEYSET_ENTRY_BAD "0x8009001a"
            NTE_PROV_TYPE_NO_MATCH "0x8009001b" NTE_SIGNATURE_FILE_BAD "0x8009001c"
            NTE_PROVIDER_DLL_FAIL "0x8009001d" NTE_PROV_DLL_NOT_FOUND "0x8009001e"
            NTE_BAD_KEYSET_PARAM "0x8009001f" NTE_FAIL "0x80090020" NTE_SYS_ERR "0x80090021"
            NTE_SILENT_CONTEXT "0x80090022" NTE_TOKEN_KEYSET_STORAGE_FULL "0x80090023"
            NTE_TEMPORARY_PROFILE "0x80090024" NTE_FIXEDPARAMETER "0x80090025"
            NTE_INVALID_HANDLE "0x80090026" NTE_INVALID_PARAMETER "0x80090027"
            NTE_BUFFER_TOO_SMALL "0x80090028" NTE_NOT_SUPPORTED "0x80090029"
            NTE_NO_MORE_ITEMS "0x8009002a" NTE_BUFFERS_OVERLAP "0x8009002b"
            NTE_DECRYPTION_FAILURE "0x8009002c" NTE_INTERNAL_ERROR "0x8009002d"
            NTE_UI_REQUIRED "0x8009002e" NTE_HMAC_NOT_SUPPORTED "0x8009002f"
            NTE_DEVICE_NOT_READY "0x80090030" NTE_AUTHENTICATION_IGNORED "0x80090031"
            NTE_VALIDATION_FAILED "0x80090032" NTE_INCORRECT_PASSWORD "0x80090033"
            NTE_ENCRYPTION_FAILURE "0x80090034" NTE_DEVICE_NOT_FOUND "0x80090035"
            NTE_USER_CANCELLED "0x80090036" NTE_PASSWORD_CHANGE_REQUIRED "0x80090037"
            NTE_NOT_ACTIVE_CONSOLE "0x80090038";
        mod Foundation, space "tpm":
            TPM_E_NOTFIPS "0x80280036" TPM_E_PCP_INTERNAL_ERROR "0x80290407"
            TPM_E_AUTHFAIL "0x80280001" TPM_E_DEACTIVATED "0x80280006" TPM_E_DISABLED "0x80280007"
            TPM_E_FAIL "0x80280009" TPM_E_KEYNOTFOUND "0x8028000d" TPM_E_NOSRK "0x80280012"
            TPM_E_FAILEDSELFTEST "0x8028001c" TPM_E_IOERROR "0x8028001f" TPM_E_RETRY "0x80280800"
            TPM_E_NEEDS_SELFTEST "0x80280801" TPM_E_DOING_SELFTEST "0x80280802"
            TPM_E_DEFEND_LOCK_RUNNING "0x80280803" TPM_E_COMMAND_BLOCKED "0x80280400"
            TPM_20_E_AUTH_FAIL "0x8028008e" TPM_20_E_BAD_AUTH "0x802800a2"
            TPM_20_E_INTEGRITY "0x8028009f" TPM_20_E_FAILURE "0x80280101"
            TPM_20_E_INITIALIZE "0x80280100" TPM_20_E_REBOOT "0x80280130" TPM_20_E_LOCKOUT "0x80280921"
            TPM_20_E_RETRY "0x80280922" TPM_20_E_NV_RATE "0x80280920" TBS_E_INTERNAL_ERROR "0x80284001"
            TBS_E_SERVICE_NOT_RUNNING "0x80284008" TBS_E_TPM_NOT_FOUND "0x8028400f"
            TBS_E_SERVICE_DISABLED "0x80284010" TBS_E_ACCESS_DENIED "0x80284012"
            TPMAPI_E_INTERNAL_ERROR "0x80290107" TPMAPI_E_TPM_COMMAND_ERROR "0x8029010c";
    };
    for (space, code, name, value) in constants {
        let number = match code.starts_with("0x") {
            true => Code::parse(code).map(|Code(number)| number),
            false => code.parse().ok(),
        };
        assert_eq!(number, Some(value), "{name}");
        let row = code_info(space, code).unwrap_or_else(|| panic!("{space} {code}"));
        assert_eq!(row.symbol, Some(name), "{space} {code}");
    }
}
