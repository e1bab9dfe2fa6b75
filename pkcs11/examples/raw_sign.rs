//! Signatures per second that a token gives to a program which does nothing else: the measure that
//! `xtask bench` holds issuance against.
//!
//! `raw_sign MODULE TOKEN_LABEL PIN_FILE KEY_LABEL SECONDS THREADS` signs with a key that is there,
//! by C_SignInit and C_Sign alone, and prints the number of signatures, the seconds that passed, and
//! the processor seconds that they took.
#![allow(unsafe_code)]

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass};
use cryptoki::session::{Session, UserType};
use cryptoki_sys::{CK_FUNCTION_LIST, CK_MECHANISM, CK_ULONG, CKM_ECDSA, CKM_RSA_PKCS, CKR_OK};
use secrecy::SecretString;
use std::path::Path;
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

type Error = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Error> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [module, label, pin_file, key_label, seconds, threads] = args.as_slice() else {
        return Err("MODULE TOKEN_LABEL PIN_FILE KEY_LABEL SECONDS THREADS".into());
    };
    let seconds = Duration::try_from_secs_f64(seconds.parse()?)?;
    let threads: usize = threads.parse()?;
    let pin = SecretString::from(std::fs::read_to_string(pin_file)?.trim());

    let context = Pkcs11::new(module)?;
    context.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))?;
    let slot = context
        .get_slots_with_token()?
        .into_iter()
        .find(|slot| context.get_token_info(*slot).is_ok_and(|info| info.label() == label.as_str()))
        .ok_or("no such token")?;
    let anchor = context.open_ro_session(slot)?;
    anchor.login(UserType::User, Some(&pin))?;
    let functions = Arc::new(functions(Path::new(module))?);

    let start = Arc::new(Barrier::new(threads + 1));
    let running: Vec<_> = (0..threads)
        .map(|_| {
            let session = context.open_ro_session(slot)?;
            let (functions, start) = (Arc::clone(&functions), Arc::clone(&start));
            let key_label = key_label.clone();
            Ok::<_, Error>(std::thread::spawn(move || {
                sign_for(&functions, &session, &key_label, &start, seconds)
            }))
        })
        .collect::<Result<_, _>>()?;
    start.wait();
    let (begin, spent_before) = (Instant::now(), spent()?);
    let mut signatures = 0;
    for thread in running {
        signatures += thread.join().map_err(|_| "a thread panicked")??;
    }
    let (elapsed, spent) = (begin.elapsed().as_secs_f64(), spent()? - spent_before);
    println!("{signatures} {elapsed} {spent}");
    drop(anchor);
    context.finalize()?;
    Ok(())
}

/// Processor seconds of this process until now (proc(5): utime and stime, in hundredths).
fn spent() -> Result<f64, Error> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let (_, after_name) = stat.rsplit_once(')').ok_or("an odd /proc/self/stat")?;
    let times = after_name.split_whitespace().skip(11).take(2);
    let ticks: Vec<f64> = times.map(str::parse).collect::<Result<_, _>>()?;
    Ok(ticks.iter().sum::<f64>() / 100.0)
}

/// The module's functions, and the module, which must stay loaded as long as they are called.
struct Functions {
    list: CK_FUNCTION_LIST,
    _module: cryptoki_sys::Pkcs11,
}

// SAFETY: function pointers into a module that was initialised for use by several threads.
unsafe impl Send for Functions {}
// SAFETY: as above; nothing in it is ever written.
unsafe impl Sync for Functions {}

fn functions(path: &Path) -> Result<Functions, Error> {
    // SAFETY: the binding has loaded this very file already.
    let module = unsafe { cryptoki_sys::Pkcs11::new(path) }?;
    let mut list: *mut CK_FUNCTION_LIST = std::ptr::null_mut();
    if module.C_GetFunctionList.is_err() {
        return Err("not a PKCS#11 module".into());
    }
    // SAFETY: the symbol is there, and `list` is a place for the one pointer that it writes.
    let rv = unsafe { module.C_GetFunctionList(&mut list) };
    if rv != CKR_OK || list.is_null() {
        return Err("C_GetFunctionList gives no list".into());
    }
    // SAFETY: the list lives as long as the module; it may be packed.
    let list = unsafe { list.read_unaligned() };
    Ok(Functions { list, _module: module })
}

fn sign_for(
    functions: &Functions,
    session: &Session,
    key_label: &str,
    start: &Barrier,
    seconds: Duration,
) -> Result<u64, Error> {
    let found = prepare(functions, session, key_label);
    // Everybody reaches the start, whoever fails.
    start.wait();
    let mut sign = found?;
    let end = Instant::now() + seconds;
    let mut count = 0;
    while Instant::now() < end {
        sign()?;
        count += 1;
    }
    Ok(count)
}

/// Finds a private key and returns what signs a digest with it.
fn prepare<'a>(
    functions: &'a Functions,
    session: &'a Session,
    label: &str,
) -> Result<impl FnMut() -> Result<(), Error> + 'a, Error> {
    let wanted =
        [Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::Label(label.as_bytes().to_vec())];
    let key = *session.find_objects(&wanted)?.first().ok_or("no such private key")?;
    let attributes = session.get_attributes(key, &[AttributeType::KeyType])?;
    let (mechanism, input) = match attributes.first() {
        // A DigestInfo of SHA-256 has 51 bytes (RFC 8017 section 9.2).
        Some(Attribute::KeyType(KeyType::RSA)) => (CKM_RSA_PKCS, vec![7; 51]),
        _ => (CKM_ECDSA, vec![7; 32]),
    };
    let (sign_init, sign) =
        functions.list.C_SignInit.zip(functions.list.C_Sign).ok_or("it cannot sign")?;
    let mut signature = vec![0; 1024];
    Ok(move || {
        let mut mechanism =
            CK_MECHANISM { mechanism, pParameter: std::ptr::null_mut(), ulParameterLen: 0 };
        // SAFETY: the session is open and this thread's; the mechanism has no parameter.
        let rv = unsafe { sign_init(session.handle(), &mut mechanism, key.handle()) };
        if rv != CKR_OK {
            return Err(format!("C_SignInit returned {rv:#x}").into());
        }
        let mut len = signature.len() as CK_ULONG;
        // SAFETY: both buffers live through the call, and their lengths are true.
        let rv = unsafe {
            sign(
                session.handle(),
                input.as_ptr().cast_mut(),
                input.len() as CK_ULONG,
                signature.as_mut_ptr(),
                &mut len,
            )
        };
        if rv == CKR_OK { Ok(()) } else { Err(format!("C_Sign returned {rv:#x}").into()) }
    })
}
