//! With SoftHSM, a token in software: its own folder and slot for each test process, because a module is loaded once.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::testing::{id, place};
use crate::{Aad, KekId, KeyEncryptionKey as _, TokenKey, TokenKeyError, seal};

/// Where Debian puts the module.
const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";

const CASE: &str = "HEDDLE_TEST_TOKEN_CASE";

/// The module reads its configuration from the environment when it is loaded, which a running test may not set: so the test
/// is this program once more, with the variable set.
fn in_a_token_of_its_own(name: &str) -> Option<PathBuf> {
    if let Some(folder) = std::env::var_os(CASE) {
        return Some(PathBuf::from(folder));
    }
    let folder = tempfile::tempdir().expect("folder");
    let conf = folder.path().join("softhsm2.conf");
    let tokens = folder.path().join("tokens");
    std::fs::create_dir(&tokens).expect("create");
    let text = format!("directories.tokendir = {}\n", tokens.display());
    std::fs::write(&conf, text).expect("write");
    write_pin(&folder.path().join("pin"), "1234");
    let made = Command::new("softhsm2-util")
        .env("SOFTHSM2_CONF", &conf)
        .args(["--init-token", "--free", "--label", "heddle"])
        .args(["--so-pin", "12345678", "--pin", "1234"])
        .output()
        .expect("softhsm2-util is installed by scripts/setup --test");
    assert!(made.status.success(), "{made:?}");
    let test = format!("token_key::tests::{name}");
    let run = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", &test, "--nocapture"])
        .env("SOFTHSM2_CONF", &conf)
        .env(CASE, folder.path())
        .output()
        .expect("this program runs");
    assert!(
        run.status.success(),
        "{}",
        String::from_utf8_lossy(&run.stdout)
    );
    assert!(String::from_utf8_lossy(&run.stdout).contains("1 passed"));
    None
}

fn write_pin(path: &Path, pin: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(path, pin).expect("write");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).expect("chmod");
}

fn uri(folder: &Path, object: &str) -> crate::TokenUri {
    let pin = folder.join("pin");
    format!(
        "pkcs11:token=heddle;object={object}?module-path={MODULE}&pin-source=file:{}",
        pin.display()
    )
    .parse()
    .expect("a URI")
}

/// Makes a key in the token.
fn make(object: &str, bits: u64, extractable: bool) {
    use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
    use cryptoki::mechanism::Mechanism;
    use cryptoki::object::Attribute;
    let module = Pkcs11::new(MODULE).expect("the module");
    let _ = module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK));
    let slot = module.get_slots_with_initialized_token().expect("slots")[0];
    let session = module.open_rw_session(slot).expect("session");
    let _ = session.login(
        cryptoki::session::UserType::User,
        Some(&cryptoki::types::AuthPin::new("1234".into())),
    );
    let template = [
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Label(object.as_bytes().to_vec()),
        Attribute::ValueLen((bits / 8).into()),
        Attribute::Sensitive(!extractable),
        Attribute::Extractable(extractable),
        Attribute::Encrypt(true),
        Attribute::Decrypt(true),
    ];
    session
        .generate_key(&Mechanism::AesKeyGen, &template)
        .expect("generate");
}

#[test]
fn spiffe_s53_a_key_in_a_token_seals_and_opens_and_never_leaves_it() {
    let Some(folder) =
        in_a_token_of_its_own("spiffe_s53_a_key_in_a_token_seals_and_opens_and_never_leaves_it")
    else {
        return;
    };
    make("sealing", 256, false);
    make("other", 256, false);
    let key = TokenKey::open(uri(&folder, "sealing")).expect("open");
    let other = TokenKey::open(uri(&folder, "other")).expect("a second key of the module");
    assert_ne!(key.id(), other.id());
    let again = TokenKey::open(uri(&folder, "sealing")).expect("open again");
    assert_eq!(
        key.id(),
        again.id(),
        "the name is the same in every process"
    );

    let sealed = seal::seal(&key, &place(), b"secret").expect("seal");
    assert_eq!(
        seal::open(&again, &place(), &sealed)
            .expect("open")
            .as_slice(),
        b"secret"
    );
    // Which key it is does not decide alone: the token itself refuses.
    let (wrapped, aad) = (key.wrap(b"here", &[7; 32]).expect("wrap"), b"here");
    assert_eq!(
        key.unwrap(aad, &wrapped).expect("unwrap").as_slice(),
        [7; 32]
    );
    assert_eq!(
        key.unwrap(b"there", &wrapped),
        Err(seal::SealError::Refused)
    );
    assert_eq!(other.unwrap(aad, &wrapped), Err(seal::SealError::Refused));
    let elsewhere = Aad {
        org: id(9),
        ..place()
    };
    assert_eq!(
        seal::open(&key, &elsewhere, &sealed),
        Err(seal::SealError::Refused)
    );
    assert_eq!(
        seal::open(&other, &place(), &sealed),
        Err(seal::SealError::OtherKey(key.id()))
    );
    assert_eq!(KekId::of("x", &[b"a"]).to_string().len(), 16);

    // What shows nothing shows no PIN either.
    assert!(!format!("{key:?}").contains("1234"));
}

#[test]
fn spiffe_s53_a_key_that_could_leave_its_token_is_refused_and_so_is_a_wrong_pin() {
    let Some(folder) = in_a_token_of_its_own(
        "spiffe_s53_a_key_that_could_leave_its_token_is_refused_and_so_is_a_wrong_pin",
    ) else {
        return;
    };
    make("loose", 128, true);
    write_pin(&folder.join("pin"), "9999");
    let made = TokenKey::open(uri(&folder, "loose"));
    // A process is logged in as a whole: `make` has closed its sessions, so the PIN is asked for.
    assert!(matches!(made, Err(TokenKeyError::Token { .. })), "{made:?}");
    assert!(!format!("{made:?}").contains("9999"));
    write_pin(&folder.join("pin"), "1234\n");
    let error = TokenKey::open(uri(&folder, "loose"))
        .expect_err("it is unfit")
        .to_string();
    for fault in ["256 bits", "not sensitive", "extractable"] {
        assert!(error.contains(fault), "{error}");
    }
    let error = TokenKey::open(uri(&folder, "nothing")).expect_err("there is none");
    assert!(
        matches!(error, TokenKeyError::WhichKey { found: 0 }),
        "{error}"
    );
    let elsewhere = uri(&folder, "loose")
        .to_string()
        .replace("token=heddle", "token=other");
    let error = TokenKey::open(elsewhere.parse().expect("a URI")).expect_err("no such token");
    assert!(
        matches!(error, TokenKeyError::WhichToken { found: 0 }),
        "{error}"
    );
}
