//! What `prtrace explain` says: the codes that the published guides name, codes nobody knows, and
//! codes inside other text.

#[path = "support/program.rs"]
mod program;

use program::prtrace;
use prtrace::explain::{Explanation, Explanations};
use prtrace::facts::code::Code;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Output, Stdio};

/// The codes of Microsoft's troubleshooting guides and their symbols.
const NUMBERS: [(u32, &str); 49] = [
    (0x801c_001d, "DSREG_AUTOJOIN_ADCONFIG_READ_FAILED"),
    (0x801c_0021, "DSREG_AUTOJOIN_DISC_FAILED"),
    (0x801c_001f, "DSREG_AUTOJOIN_DISC_WAIT_TIMEOUT"),
    (0x801c_003d, "DSREG_AUTOJOIN_USERREALM_DISCOVERY_FAILED"),
    (0x801c_003a, "DSREG_DISCOVERY_TENANT_NOT_FOUND"),
    (0x801c_0025, "DSREG_SERVER_BUSY"),
    (0x801c_03f2, "DSREG_E_DIRECTORY_FAILURE"),
    (0x801c_0002, "DSREG_E_DEVICE_AUTHENTICATION_ERROR"),
    (0x801c_0006, "DSREG_E_DEVICE_INTERNALSERVICE_ERROR"),
    (0x8007_2ee2, "WININET_E_TIMEOUT"),
    (0x8007_2ee7, "WININET_E_NAME_NOT_RESOLVED"),
    (0x8007_2efd, "WININET_E_CANNOT_CONNECT"),
    (0x8007_2efe, "WININET_E_CONNECTION_ABORTED"),
    (0x8007_2f8f, "WININET_E_DECODING_FAILED"),
    (0x8007_000d, "E_INVALIDDATA"),
    (0xcaa2_0003, "ERROR_ADAL_SERVER_ERROR_INVALID_GRANT"),
    (0xcaa1_002d, "ERROR_ADAL_OPERATION_PENDING"),
    (0xcaa7_0004, "ERROR_INET_RESOURCE_NOT_FOUND"),
    (0xcaa8_2ee2, "ERROR_ADAL_INTERNET_TIMEOUT"),
    (0xcaa8_2efd, "ERROR_ADAL_INTERNET_CANNOT_CONNECT"),
    (0xcaa8_2efe, "ERROR_ADAL_INTERNET_CONNECTION_ABORTED"),
    (0xcaa8_2f8f, "ERROR_ADAL_INTERNET_SECURE_FAILURE"),
    (0xcaa9_0006, "ERROR_ADAL_WSTRUST_TOKEN_REQUEST_FAIL"),
    (
        0xcaa9_0014,
        "ERROR_ADAL_WSTRUST_REQUEST_SECURITYTOKEN_FAILED",
    ),
    (0xcaa9_0017, "ERROR_ADAL_PROTOCOL_NOT_SUPPORTED"),
    (
        0xcaa9_0023,
        "ERROR_ADAL_COULDNOT_DISCOVER_USERNAME_PASSWORD_ENDPOINT",
    ),
    (0xcaa9_002c, "ERROR_ADAL_FAILED_TO_PARSE_XML"),
    (0x8009_0016, "NTE_BAD_KEYSET"),
    (0x8009_0031, "NTE_AUTHENTICATION_IGNORED"),
    (0x8028_0036, "TPM_E_NOTFIPS"),
    (0x8029_0407, "TPM_E_PCP_INTERNAL_ERROR"),
    (0xc000_005f, "STATUS_NO_SUCH_LOGON_SESSION"),
    (0xc000_006a, "STATUS_WRONG_PASSWORD"),
    (0xc000_006d, "STATUS_LOGON_FAILURE"),
    (0xc000_00be, "STATUS_BAD_NETWORK_PATH"),
    (0xc000_00c4, "STATUS_UNEXPECTED_NETWORK_ERROR"),
    (0xc000_00d0, "STATUS_REQUEST_NOT_ACCEPTED"),
    (0xc000_023c, "STATUS_NETWORK_UNREACHABLE"),
    (0xc004_8442, "AAD_CLOUDAP_E_OAUTH_USER_SID_IS_EMPTY"),
    (0xc004_844c, "AAD_CLOUDAP_E_OAUTH_USERNAME_IS_MALFORMED"),
    (0xc004_848b, "AAD_CLOUDAP_E_HTTP_PASSWORD_URI_IS_EMPTY"),
    (0xc004_848c, "AAD_CLOUDAP_E_HTTP_CERTIFICATE_URI_IS_EMPTY"),
    (0xc004_84c1, "AAD_CLOUDAP_E_WSTRUST_SAML_TOKENS_ARE_EMPTY"),
    // Its symbol is not published.
    (0xc004_8512, ""),
    (0xc00c_ee4f, "WC_E_DTDPROHIBITED"),
    // Numbers below; here in the spelling of an HRESULT.
    (0x8007_0520, "ERROR_NO_SUCH_LOGON_SESSION"),
    (0x8007_0525, "ERROR_NO_SUCH_USER"),
    (0x8007_2ee7, "ERROR_WINHTTP_NAME_NOT_RESOLVED"),
    (0x8007_2efe, "ERROR_WINHTTP_CONNECTION_ERROR"),
];

/// Those that are no 32-bit number, or are also told by a short one: how they are asked for, and
/// the symbol if they have one.
const OTHERS: [(&str, &str); 15] = [
    ("AADSTS50034", "UserAccountNotFound"),
    ("AADSTS50076", "UserStrongAuthClientAuthNRequired"),
    ("AADSTS50126", "InvalidUserNameOrPassword"),
    ("AADSTS50155", "DeviceAuthenticationFailed"),
    ("AADSTS90002", "InvalidTenantName"),
    ("invalid_grant", "invalid_grant"),
    ("DirectoryError", ""),
    ("AuthenticationError", ""),
    ("DeviceNotFound", ""),
    ("12002", "ERROR_WINHTTP_TIMEOUT"),
    ("12007", "ERROR_WINHTTP_NAME_NOT_RESOLVED"),
    ("12029", "ERROR_WINHTTP_CANNOT_CONNECT"),
    ("12030", "ERROR_WINHTTP_CONNECTION_ERROR"),
    ("1312", "ERROR_NO_SUCH_LOGON_SESSION"),
    ("1317", "ERROR_NO_SUCH_USER"),
];

fn explain(text: &str) -> Vec<Explanation> {
    Explanations::new(&[text]).codes
}

/// Its explanation; of a network number WinHTTP's, with WinINet's after it.
fn one(text: &str) -> Explanation {
    let mut codes = explain(text);
    let spaces: Vec<_> = codes.iter().map(|found| found.space).collect();
    let is_one = codes.len() == 1 || spaces == [Some("winhttp"), Some("wininet")];
    assert!(is_one, "{text}: {codes:?}");
    codes.remove(0)
}

/// What everybody needs who looks such a code up.
fn is_explained(text: &str) -> Explanation {
    let found = one(text);
    assert_eq!(found.input, text);
    assert!(found.known, "{text}");
    assert!(found.space.is_some(), "{text}: who defines it");
    let meaning = found.meaning.as_deref().unwrap_or("");
    assert!(meaning.len() > 10, "{text}: no meaning");
    assert!(found.stage.is_some(), "{text}: no stage");
    assert!(!found.next_steps.is_empty(), "{text}: no next step");
    assert!(!found.sources.is_empty(), "{text}: no source");
    let mut texts = found.next_steps.iter().chain(&found.sources);
    assert!(texts.all(|text| !text.is_empty()), "{text}");
    found
}

/// What two spellings of one code must agree in.
fn same(a: &Explanation, b: &Explanation) {
    let facts = |of: &Explanation| (of.space, of.code.clone(), of.symbol, of.meaning.clone());
    assert_eq!(facts(a), facts(b), "{} and {}", a.input, b.input);
}

#[test]
fn every_code_of_the_guides_is_explained_in_every_spelling() {
    for (number, symbol) in NUMBERS {
        let hex = Code(number).to_string();
        let by_hex = is_explained(&hex);
        for spelling in [
            (number as i32).to_string(),
            number.to_string(),
            hex.to_uppercase().replace("0X", "0x"),
            format!("Unknown HResult Error code: {hex}"),
        ] {
            same(&by_hex, &is_explained(&spelling));
        }
        if !symbol.is_empty() {
            let by_symbol = is_explained(symbol);
            assert_eq!(by_symbol.symbol, Some(symbol));
            same(&by_symbol, &is_explained(&symbol.to_lowercase()));
            // WinINet and WinHTTP name the same numbers, and WinHTTP's names say more.
            if !symbol.starts_with("WININET") {
                same(&by_hex, &by_symbol);
            }
        }
    }
}

#[test]
fn every_other_code_of_the_guides_is_explained() {
    for (code, symbol) in OTHERS {
        let by_code = is_explained(code);
        assert_eq!(by_code.code, code);
        assert_eq!(by_code.symbol.unwrap_or(""), symbol, "{code}");
        if !symbol.is_empty() {
            same(&by_code, &is_explained(symbol));
        }
        if let Some(digits) = code.strip_prefix("AADSTS") {
            same(&by_code, &is_explained(digits));
        }
    }
}

#[test]
fn the_guides_name_this_many_codes() {
    // DirectoryError has three more messages of its own, AuthenticationError one.
    let shared = [
        "DirectoryError/throttled",
        "DirectoryError/device_not_found",
        "DirectoryError/tenant_not_found",
        "AuthenticationError/target_sid",
    ];
    let rows: BTreeSet<&str> = prtrace::facts::codes().map(|row| row.code).collect();
    for key in shared {
        assert!(rows.contains(key), "{key}");
    }
    // 45 numbers of their own; the last four of the list are spellings of four others.
    assert_eq!((NUMBERS.len() - 4) + OTHERS.len() + shared.len(), 64);
    let numbers: BTreeSet<_> = NUMBERS.iter().collect();
    assert_eq!(numbers.len(), NUMBERS.len());
}

#[test]
fn one_code_that_two_events_spell_differently_is_one() {
    for (a, b) in [
        ("0xc00484c1", "0x800484c1"),
        ("0xc000006d", "0xd000006d"),
        ("0xc00000be", "0xd00000be"),
        ("0x80090016", "0xc0090016"),
        ("0xc000006d", "0xffffffffc000006d"),
    ] {
        same(&is_explained(a), &is_explained(b));
    }
    let bad_minus = "--1073445695";
    assert_eq!(one(bad_minus).code, "0xc00484c1");
}

#[test]
fn what_nobody_knows_stays_unknown() {
    for text in [
        "0x801c7777",
        "0xc0049999",
        "0x12345678",
        "0xcaa33333",
        "0x80072fff",
        "0x8007ffff",
        "-2145616009",
        "AADSTS9999999",
        "AADSTS99999999",
        "MSIS9999",
        "99999",
        "801c03f2",
        "0x801c03f20",
        "NOT_A_SYMBOL",
        "no code in here",
        "",
    ] {
        let found = one(text);
        assert!(!found.known, "{text}: {found:?}");
        assert_eq!(found.space, None, "{text}");
        assert_eq!(found.symbol, None, "{text}");
        assert_eq!(found.stage, None, "{text}");
        assert_eq!(found.cause, None, "{text}");
        assert!(found.next_steps.is_empty(), "{text}");
        assert!(found.sources.is_empty(), "{text}");
        assert!(found.meaning.is_some(), "{text}: what its number tells");
    }
}

#[test]
fn an_unknown_code_tells_what_its_bits_say() {
    for (code, says) in [
        (
            "0x801c7777",
            &["device registration", "30583", "0x7777"][..],
        ),
        ("0xc0049999", &["plug-in"]),
        ("0xcaa33333", &["token libraries"]),
        ("0x80072fff", &["WinHTTP", "12287"]),
        ("0x8007ffff", &["Win32", "65535"]),
        ("0x80190999", &["HTTP status"]),
        ("0x8028ffff", &["Trusted Platform Module"]),
        ("0x12345678", &["no known family"]),
    ] {
        let meaning = one(code).meaning.unwrap();
        for word in says {
            assert!(meaning.contains(word), "{code}: {meaning}");
        }
    }
}

#[test]
fn a_number_inside_a_code_is_told() {
    for (code, inner, symbol) in [
        ("0x80070005", "5", "ERROR_ACCESS_DENIED"),
        ("0x80070520", "1312", "ERROR_NO_SUCH_LOGON_SESSION"),
        ("0x80072ee7", "12007", "ERROR_WINHTTP_NAME_NOT_RESOLVED"),
    ] {
        let found = one(code);
        assert_eq!((found.code.as_str(), found.symbol), (inner, Some(symbol)));
    }
    assert_eq!(one("0x80190191").code, "401");
    assert_eq!(
        one("0xcaa82ee7").symbol,
        Some("ERROR_ADAL_INTERNET_NAME_NOT_RESOLVED")
    );
    assert_eq!(
        one("0xcaa30190").symbol,
        Some("ERROR_HTTP_STATUS_BAD_REQUEST")
    );
}

#[test]
fn a_network_number_has_the_meanings_of_both_components() {
    for (code, plain, winhttp, wininet) in [
        ("0x80072ee2", "12002", "PRT", "registration: discover, join"),
        ("0x80072ee7", "12007", "PRT", "registration: join"),
        ("0x80072efd", "12029", "PRT", "registration: discover"),
        ("0x80072efe", "12030", "PRT", "registration: join"),
        ("-2147012721", "12175", "PRT", "registration: discover"),
    ] {
        let stages: Vec<_> = explain(code).iter().map(|found| found.stage).collect();
        assert_eq!(stages, [Some(winhttp), Some(wininet)], "{code}");
        // The short number is WinHTTP's.
        assert_eq!(explain(plain).len(), 1, "{plain}");
    }
    // One is about TLS, the other about what came over it.
    let [tls, decoding] = &explain("0x80072f8f")[..] else {
        panic!("two meanings");
    };
    assert_eq!(tls.symbol, Some("ERROR_WINHTTP_SECURE_FAILURE"));
    assert_eq!(decoding.symbol, Some("WININET_E_DECODING_FAILED"));
}

#[test]
fn what_only_one_table_names_is_found_by_its_plain_number() {
    assert_eq!(one("12031").symbol, Some("WININET_E_CONNECTION_RESET"));
    assert_eq!(one("178454728").symbol, Some("SUCCESS_HTTP_STATUS_OK"));
    assert_eq!(one("0").symbol, Some("STATUS_SUCCESS"));
    assert_eq!(one("0xcaa301ad").code, "429");
}

#[test]
fn a_row_with_a_name_alone_does_not_say_that_it_is_in_no_table() {
    for code in ["0xcaa82f15", "0x0aa300c8"] {
        let meaning = one(code).meaning.unwrap();
        assert_eq!(meaning, "only its name is published", "{code}");
    }
}

#[test]
fn a_server_code_of_any_length_is_one() {
    let found = one("aadsts99999999");
    assert_eq!(
        (found.code.as_str(), found.known),
        ("AADSTS99999999", false)
    );
    assert!(found.meaning.unwrap().contains("sign-in service"));
    assert_eq!(
        found_in("it said AADSTS99999999: try later"),
        ["AADSTS99999999"]
    );
}

#[test]
fn a_code_that_says_not_joined_is_told_as_the_report_tells_it() {
    // Event 1089, "not cloud domain joined", carries it.
    let found = is_explained("-1073445710");
    assert_eq!(found.code, "0xc00484b2");
    assert!(found.meaning.unwrap().contains("not joined"));
}

#[test]
fn a_plain_number_is_what_such_a_number_usually_is() {
    for (number, space, code) in [
        ("12007", "winhttp", "12007"),
        ("1317", "win32", "1317"),
        ("404", "http", "404"),
        ("50126", "aadsts", "AADSTS50126"),
        ("3221225581", "ntstatus", "0xc000006d"),
        ("0x520", "win32", "1312"),
        ("0x2ee7", "winhttp", "12007"),
    ] {
        let found = one(number);
        assert_eq!((found.space, found.code.as_str()), (Some(space), code));
    }
}

/// The codes found in a text.
fn found_in(text: &str) -> Vec<String> {
    explain(text)
        .into_iter()
        .filter(|found| found.code != text)
        .map(|found| found.code)
        .collect()
}

const STATUS: &str = "\
+----------------------------------------------------------------------+
| Device State                                                         |
+----------------------------------------------------------------------+
             AzureAdJoined : NO
                  DeviceId : c00484b2-80c0-006d-8007-2ee780072ee2
+----------------------------------------------------------------------+
| Diagnostic Data                                                      |
+----------------------------------------------------------------------+
     Diagnostics Reference : www.microsoft.com/aadjerrors
        DRS Discovery Test : FAIL [0x801c0021/0x80072ee7]
          Client ErrorCode : 0x801c03f2
           Server ErrorCode: DirectoryError
            Server Message : The device object by the given id (80090016-c000-006d-801c-001dcafe0001) is not found.
              Https Status : 400
                Request Id : 80072ee7-c000-023c-8028-003600000001
          Attempt Status : 0xC000006D
      Server Error Code : invalid_grant
Server Error Description : AADSTS50126: Error validating credentials due to invalid username or password.
";

#[test]
fn codes_are_found_in_what_dsregcmd_prints() {
    assert_eq!(
        found_in(STATUS),
        [
            "0x801c0021",
            "12007",
            "0x80072ee7",
            "0x801c03f2",
            "DirectoryError",
            "0xc000006d",
            "invalid_grant",
            "AADSTS50126",
        ]
    );
}

#[test]
fn codes_are_found_in_the_words_of_an_event() {
    let event = "Automatic registration failed at join phase.\r\nExit code: Unknown HResult Error \
        code: 0x801c03f2\r\nServer error: DirectoryError\r\nDebug output: adalCorrelationId: \
        {C00484B2-0000-0000-801C-001D80072EE7} adalResponseCode: -895352829; the second: \
        2147954402.";
    assert_eq!(
        found_in(event),
        [
            "0x801c03f2",
            "DirectoryError",
            "0xcaa20003",
            "12002",
            "0x80072ee2"
        ]
    );
}

#[test]
fn only_whole_words_are_codes() {
    for text in [
        "see 0x801c03f20 there",
        "see a0x801c03f2 there",
        "see 0x801c03f2g there",
        "see 0x801c03f2_1 there",
        "see 801c03f2 there",
        "see xAADSTS50126 there",
        "see AADSTS50126x there",
        "see AADSTS501260000 there",
        "see 32212255810 there",
        "see {801c03f2-0000-4000-8000-0123456789ab} there",
        "see 801c03f2-0000-4000-8000-0123456789ab there",
        "see a small number such as 12007 or 400 there",
        "pid 0x1f4, thread 0x1438, flags 0x0",
        "http://10.0.0.1:443 and HTTP 20 times",
    ] {
        let found = explain(text);
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert!(!found[0].known, "{text}: {found:?}");
    }
    for text in [
        "see 0x801c03f2 there",
        "see (0x801c03f2), there",
        "see [0x801c03f2/x] there",
        "code=0x801c03f2",
        "code:0x801c03f2.",
        "\u{201c}0x801c03f2\u{201d}\u{2026}",
    ] {
        assert_eq!(found_in(text), ["0x801c03f2"], "{text}");
    }
}

#[test]
fn a_short_number_is_one_where_the_text_says_whose() {
    for (text, code) in [
        ("HTTP 407", "407"),
        ("it ended with HTTP status 503.", "503"),
        ("Win32 error 1317", "1317"),
        ("WinHTTP 12007 was it", "12007"),
        ("HRESULT: 0x2ee6", "12006"),
    ] {
        assert_eq!(found_in(text), [code], "{text}");
    }
    let text = "\"error\":\"invalid_grant\",\"error_codes\":[50126,50034]";
    assert_eq!(
        found_in(text),
        ["invalid_grant", "AADSTS50126", "AADSTS50034"]
    );
}

#[test]
fn a_text_without_a_code_is_named_by_its_beginning() {
    let found = one("+----------+\n| Device State of this and of that machine |\n+----------+\n");
    assert_eq!((found.code.as_str(), found.known), ("+----------+…", false));
    let found = one("words of a line that is longer than what is shown of it");
    assert_eq!(found.code, "words of a line that is longer than what…");
    assert_eq!(one("NOT_A_SYMBOL").code, "NOT_A_SYMBOL");
}

#[test]
fn what_ad_fs_says_is_of_ad_fs() {
    let found = is_explained("MSIS9682");
    assert_eq!(found.space, Some("adfs"));
    assert!(one("MSIS7012").meaning.unwrap().contains("AD FS"));
    assert_eq!(one("0xd0020017").symbol, Some("RPC_NT_SERVER_UNAVAILABLE"));
}

#[test]
fn the_longest_server_code_is_taken() {
    assert_eq!(found_in("x AADSTS50126: y"), ["AADSTS50126"]);
    assert_eq!(found_in("x AADSTS700082: y"), ["AADSTS700082"]);
    assert_eq!(found_in("x AADSTS7000215: y"), ["AADSTS7000215"]);
    assert_eq!(
        found_in("AADSTS70002: a AADSTS50126: b AADSTS70002: c"),
        ["AADSTS70002", "AADSTS50126"]
    );
    assert_eq!(
        found_in("{\"error_codes\":[50126,70002]}"),
        ["AADSTS50126", "AADSTS70002"]
    );
}

#[test]
fn a_code_is_explained_once_whatever_its_spellings() {
    let texts = ["0xc000006d", "-1073741715", "see 0xD000006D", "0xC00000BE"];
    let codes = Explanations::new(&texts).codes;
    let codes: Vec<_> = codes.iter().map(|found| found.code.as_str()).collect();
    assert_eq!(codes, ["0xc000006d", "0xc00000be"]);
}

#[test]
fn the_rows_of_the_table_are_found_by_their_codes() {
    const SPACES: [&str; 9] = [
        "aadsts", "cloudap", "drs", "dsreg", "nte", "oauth", "sspi", "winhttp", "xml",
    ];
    let rows = prtrace::facts::codes().filter(|row| SPACES.contains(&row.space));
    let mut count = 0;
    for row in rows {
        let asked = one(row.code);
        assert_eq!(asked.space, Some(row.space), "{}", row.code);
        assert_eq!(asked.code, row.code);
        count += 1;
    }
    assert!(count > 600, "{count}");
}

#[test]
fn the_rows_of_the_table_are_found_by_their_symbols() {
    for row in prtrace::facts::codes() {
        if let Some(symbol) = row.symbol {
            let asked = one(symbol);
            let found = asked.symbol.unwrap_or(&asked.code);
            assert!(asked.known, "{symbol}");
            assert!(found.eq_ignore_ascii_case(symbol), "{symbol}: {found}");
        }
    }
}

fn run(arguments: &[&str], input: &str) -> Output {
    run_with(arguments, input.as_bytes())
}

fn run_with(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = prtrace()
        .arg("explain")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // It may have ended without reading.
    let _ = stdin.write_all(input);
    drop(stdin);
    child.wait_with_output().unwrap()
}

fn printed(output: &Output) -> String {
    assert!(output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn as_json(output: &Output) -> Value {
    serde_json::from_str(&printed(output)).unwrap()
}

#[test]
fn the_exit_status_says_whether_any_code_is_known() {
    for (arguments, status) in [
        (&["0x80072ee7"][..], 0),
        (&["0x801c7777"], 2),
        (&["0x801c7777", "AADSTS50126"], 0),
        (&["0x801c7777", "nothing", "AADSTS9999999"], 2),
        (&["-2147012889"], 0),
        (&["--format", "json", "0x801c7777"], 2),
        (&["--format", "json", "12007"], 0),
        (&["--format", "nothing", "12007"], 2),
        (&["--nothing", "12007"], 2),
    ] {
        let output = run(arguments, "");
        assert_eq!(output.status.code(), Some(status), "{arguments:?}");
    }
    // An unknown code is an answer, not a complaint.
    assert!(run(&["0x801c7777"], "").stderr.is_empty());
}

#[test]
fn standard_input_is_read_where_no_code_is_given_or_a_dash() {
    for arguments in [&[][..], &["-"]] {
        let output = run(arguments, STATUS);
        assert_eq!(output.status.code(), Some(0));
        assert!(printed(&output).contains("AADSTS50126"), "{arguments:?}");
    }
    let output = run(&["0xc000023c", "-", "--format", "json"], "AADSTS50155: x\n");
    let codes = &as_json(&output)["codes"];
    assert_eq!(codes[0]["code"], "0xc000023c");
    assert_eq!(codes[1]["code"], "AADSTS50155");
    let output = run(&[], "");
    assert_eq!(output.status.code(), Some(2));
    // With a code on the command line nothing waits for standard input.
    assert!(!printed(&run(&["12007"], "AADSTS50155")).contains("50155"));
}

fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(bytes).collect()
}

/// What `dsregcmd /status | prtrace explain` gets from a shell of Windows.
#[test]
fn standard_input_is_read_in_every_encoding() {
    let text = "Benutzer Müller\r\nAttempt Status : 0xc000006d\r\nAADSTS50126: ungültig\r\n";
    let marked = format!("\u{feff}{text}");
    let code_page = |umlaut: u8| {
        let bytes = text.replace('ü', "\0").into_bytes();
        let byte = |byte| if byte == 0 { umlaut } else { byte };
        bytes.into_iter().map(byte).collect::<Vec<u8>>()
    };
    for input in [
        utf16(text, u16::to_le_bytes),
        utf16(text, u16::to_be_bytes),
        utf16(&marked, u16::to_le_bytes),
        utf16(&marked, u16::to_be_bytes),
        marked.clone().into_bytes(),
        // Windows-1252, and the code pages 437 and 850 of a console.
        code_page(0xfc),
        code_page(0x81),
    ] {
        let output = run_with(&["--format", "json"], &input);
        let printed = as_json(&output);
        let codes = printed["codes"].as_array().unwrap();
        let codes: Vec<&Value> = codes.iter().map(|code| &code["code"]).collect();
        assert_eq!(codes, ["0xc000006d", "AADSTS50126"], "{input:x?}");
        assert_eq!(output.status.code(), Some(0));
    }
    // What has no character is shown as such.
    let shown = printed(&run_with(&[], b"\x81x"));
    assert!(shown.starts_with("\u{fffd}x: unknown\n"), "{shown}");
}

/// Quadratic work on these would take minutes.
#[test]
fn a_text_may_be_full_of_codes() {
    let plain = (1_000_000..1_050_000).map(|number| format!("AADSTS{number} "));
    let listed: Vec<String> = (1_100_000..1_150_000)
        .map(|number| number.to_string())
        .collect();
    let text = format!(
        "{}\"error_codes\":[{}]",
        plain.collect::<String>(),
        listed.join(",")
    );
    let found = Explanations::new(&[&text, &text]).codes;
    assert_eq!(found.len(), 100_000);
    assert_eq!(found[0].code, "AADSTS1000000");
    assert_eq!(found[50_000].code, "AADSTS1100000");
    assert_eq!(found[99_999].code, "AADSTS1149999");
}

#[test]
fn no_more_than_16_mib_of_standard_input_are_read() {
    let mut input = vec![b' '; 16 << 20];
    input[..5].copy_from_slice(b"12002");
    assert_eq!(run_with(&[], &input).status.code(), Some(0));
    input.push(b'\n');
    let output = run_with(&[], &input);
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "prtrace: standard input: more than 16 MiB: pass only the part with the codes\n"
    );
}

#[test]
fn the_json_is_what_the_contract_says() {
    let output = run(&["--format", "json", "AADSTS50126", "0x801c7777"], "");
    let printed = as_json(&output);
    let codes = printed["codes"].as_array().unwrap();
    assert_eq!(printed.as_object().unwrap().len(), 1);
    let keys = [
        "cause",
        "code",
        "input",
        "known",
        "meaning",
        "next_steps",
        "sources",
        "space",
        "stage",
        "symbol",
    ];
    for code in codes {
        let mut found: Vec<_> = code.as_object().unwrap().keys().collect();
        found.sort();
        assert_eq!(found, keys);
    }
    assert_eq!(codes[0]["known"], json!(true));
    assert_eq!(codes[0]["space"], "aadsts");
    assert_eq!(codes[0]["symbol"], "InvalidUserNameOrPassword");
    assert_eq!(codes[1]["known"], json!(false));
    assert_eq!(codes[1]["input"], "0x801c7777");
    for absent in ["space", "symbol", "stage", "cause"] {
        assert_eq!(codes[1][absent], Value::Null);
    }
    assert_eq!(codes[1]["next_steps"], json!([]));
}

#[test]
fn the_json_fits_the_schema_of_its_type() {
    let settings = schemars::generate::SchemaSettings::draft2020_12().for_serialize();
    let generator = settings.into_generator();
    let schema = generator.into_root_schema_for::<Explanations>();
    let schema = serde_json::to_value(schema).unwrap();
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    for text in [STATUS, "0x801c7777", "", "nothing", "12007"] {
        let output = run(&["--format", "json", "-"], text);
        assert!(validator.is_valid(&as_json(&output)), "{text}");
    }
    assert!(!validator.is_valid(&json!({})));
    let mut report = as_json(&run(&["--format", "json", "12007"], ""));
    report["codes"][0]["more"] = json!(1);
    assert!(!validator.is_valid(&report));
}

#[test]
fn the_text_has_every_part_of_an_explanation() {
    let text = printed(&run(&["AADSTS50126"], ""));
    let found = one("AADSTS50126");
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let text = words(&text);
    assert!(text.starts_with("AADSTS50126 InvalidUserNameOrPassword (aadsts) "));
    for part in [found.meaning.as_deref(), found.stage, found.cause] {
        assert!(text.contains(&words(part.unwrap())), "{part:?}");
    }
    for part in found.next_steps.iter().chain(&found.sources) {
        assert!(text.contains(&words(part)), "{part}");
    }
    // What nobody published is said to be so.
    let unnamed = printed(&run(&["0xc0048512"], ""));
    assert!(unnamed.starts_with("0xc0048512 (cloudap, no name is published)\n"));
    assert!(words(&unnamed).contains("Cause not published Next steps"));
    let unknown = printed(&run(&["0x801c7777"], ""));
    assert!(unknown.starts_with("0x801c7777: unknown\n"));
    for absent in ["Cause", "Next steps", "Source"] {
        assert!(!unknown.contains(absent));
    }
}

#[test]
fn what_was_asked_cannot_steer_the_terminal() {
    let text = printed(&run(&["\u{1b}[31mred\u{202e}\u{9b}"], ""));
    let controls = |c: char| c.is_control() && c != '\n';
    assert!(!text.contains(controls), "{text:?}");
    assert!(!text.contains('\u{202e}'), "{text:?}");
}

#[test]
fn the_output_may_go_to_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.json");
    let output = run(
        &[
            "12007",
            "--format",
            "json",
            "--output",
            path.to_str().unwrap(),
        ],
        "",
    );
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stdout.is_empty());
    let written: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(written["codes"][0]["code"], "12007");
}
