//! Objects of an S3-compatible store, by the crate `object_store`.
//!
//! The rest of Emberline waits where it reads. The crate does not: its work runs on one small runtime of this process, and who asks
//! waits for the answer on a channel, which is allowed on any thread (also on those of other runtimes). How many requests are on
//! their way at once follows from the threads that ask, and from the few that a [`Reader`] sends ahead.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey as Key};
use object_store::path::Path as ObjectPath;
use object_store::{
    ClientConfigKey, GetOptions, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutPayload,
    RetryConfig, WriteMultipart,
};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

use super::explain::{Failure, changed, explain, unanswered};
use super::{Address, Listing};

/// Bytes of the first request of a [`Reader`]: a sample of the rows is often all that is wanted.
const FIRST: u64 = 1 << 20;

/// Bytes of its later ones.
const MOST: u64 = 8 << 20;

/// Requests of a [`Reader`] that are on their way at once.
const AHEAD: usize = 4;

/// Objects up to this size go out in one request.
const AT_ONCE: u64 = 16 << 20;

/// Bytes of a part of a larger one, unless it would have more than 10,000 parts, the most a store takes.
const PART: u64 = 16 << 20;

/// The largest object that one request may bring (5 GiB); a new one that must not replace another has to.
const LARGEST_PUT: u64 = 5 << 30;

fn runtime() -> io::Result<&'static Runtime> {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime);
    }
    // Two threads: encryption and decoding of what arrives; everything else is waiting.
    let made = Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("objects")
        .enable_all()
        .build()?;
    Ok(RUNTIME.get_or_init(|| made))
}

/// An answer that is on its way.
struct Pending<T> {
    answer: Receiver<io::Result<T>>,
    task: JoinHandle<()>,
}

impl<T> Pending<T> {
    fn wait(self) -> io::Result<T> {
        let lost = || io::Error::other("the task that asked the object store ended early");
        self.answer.recv().map_err(|_| lost())?
    }
}

impl<T> Drop for Pending<T> {
    /// Nobody waits for it any more.
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn start<T: Send + 'static>(
    work: impl Future<Output = io::Result<T>> + Send + 'static,
) -> io::Result<Pending<T>> {
    let (tell, answer) = sync_channel(1);
    let task = runtime()?.spawn(async move {
        // Whoever asked may have gone.
        let _ = tell.send(work.await);
    });
    Ok(Pending { answer, task })
}

/// The store of one bucket. Its credentials are in there: it has no `Debug`.
struct Bucket {
    store: AmazonS3,
    name: String,
    /// Where it is asked for, for messages.
    endpoint: String,
}

impl Bucket {
    /// The bucket, as the environment says how to reach it; the same for all who name it.
    fn open(name: &str) -> io::Result<Arc<Self>> {
        static OPEN: OnceLock<Mutex<HashMap<String, Arc<Bucket>>>> = OnceLock::new();
        // Held while it is opened: the environment is looked at once.
        let mut open = OPEN
            .get_or_init(Mutex::default)
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = open.get(name) {
            return Ok(bucket.clone());
        }
        let bucket = Arc::new(Self::connect(name)?);
        open.insert(name.to_owned(), bucket.clone());
        Ok(bucket)
    }

    fn connect(name: &str) -> io::Result<Self> {
        let builder = AmazonS3Builder::from_env().with_bucket_name(name);
        let value = |key: Key| builder.get_config_value(&key).filter(|v| !v.is_empty());
        let endpoint = value(Key::S3Endpoint).or_else(|| value(Key::Endpoint));
        let allowed = value(Key::Client(ClientConfigKey::AllowHttp));
        let plain = endpoint.as_ref().is_some_and(|e| e.starts_with("http://"));
        if plain && allowed.is_none_or(|a| !truth(&a)) {
            return Err(Failure::of(
                io::ErrorKind::PermissionDenied,
                "the endpoint of the object store is not encrypted (`http://`); set AWS_ALLOW_HTTP=true if that is meant, or name an `https://` one in AWS_ENDPOINT_URL",
            ));
        }
        let region = value(Key::Region).unwrap_or_else(|| "us-east-1".to_owned());
        let shown = match &endpoint {
            // Who the user is may stand before an `@`.
            Some(endpoint) => endpoint
                .rsplit_once('@')
                .map_or(endpoint.as_str(), |(_, host)| host)
                .to_owned(),
            None => format!("Amazon S3 in {region}"),
        };
        let builder = with_credentials(builder)?;
        let store = builder.build().map_err(|e| explain(&e, name, &shown))?;
        Ok(Self {
            store,
            name: name.to_owned(),
            endpoint: shown,
        })
    }

    fn explain(&self, error: &object_store::Error) -> io::Error {
        explain(error, &self.name, &self.endpoint)
    }
}

fn truth(text: &str) -> bool {
    matches!(
        text.to_ascii_lowercase().as_str(),
        "1" | "true" | "on" | "yes" | "y"
    )
}

/// Says early and clearly what is missing. Where the environment names no credentials at all, a machine in a cloud may still have some:
/// the address that tells is asked once, for a second or two, and not with the patience that a store deserves.
fn with_credentials(builder: AmazonS3Builder) -> io::Result<AmazonS3Builder> {
    let given = |key: Key| {
        builder
            .get_config_value(&key)
            .is_some_and(|v| !v.is_empty())
    };
    let refuse = |message: &str| Err(Failure::of(io::ErrorKind::PermissionDenied, message));
    match (given(Key::AccessKeyId), given(Key::SecretAccessKey)) {
        (true, true) => return Ok(builder),
        (true, false) => {
            return refuse("AWS_ACCESS_KEY_ID is set and AWS_SECRET_ACCESS_KEY is not; set both");
        }
        (false, true) => {
            return refuse("AWS_SECRET_ACCESS_KEY is set and AWS_ACCESS_KEY_ID is not; set both");
        }
        (false, false) => {}
    }
    let skip = builder.get_config_value(&Key::SkipSignature);
    let named = given(Key::WebIdentityTokenFile)
        || given(Key::ContainerCredentialsRelativeUri)
        || given(Key::ContainerCredentialsFullUri);
    if named || skip.is_some_and(|s| truth(&s)) {
        return Ok(builder);
    }
    const NONE: &str = "there are no credentials for the object store; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN, where there is one), or AWS_SKIP_SIGNATURE=true for a public bucket";
    if std::env::var("AWS_EC2_METADATA_DISABLED").is_ok_and(|v| truth(&v)) {
        return refuse(NONE);
    }
    let brief = RetryConfig {
        max_retries: 1,
        retry_timeout: Duration::from_secs(2),
        ..RetryConfig::default()
    };
    let Ok(asked) = builder.clone().with_retry(brief).build() else {
        return refuse(NONE);
    };
    let credentials = asked.credentials().clone();
    let found = credentials.clone();
    let answer = start(async move {
        let limit = Duration::from_secs(5);
        match tokio::time::timeout(limit, found.get_credential()).await {
            Ok(Ok(_)) => Ok(true),
            _ => Ok(false),
        }
    });
    match answer?.wait()? {
        true => Ok(builder.with_credentials(credentials)),
        false => refuse(NONE),
    }
}

/// An object as it was when it was found.
#[derive(Clone)]
pub(crate) struct Object {
    bucket: Arc<Bucket>,
    url: Arc<str>,
    path: ObjectPath,
    len: u64,
    tag: Option<String>,
}

impl std::fmt::Debug for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Object({}, {} bytes)", self.url, self.len)
    }
}

impl Object {
    fn new(bucket: &Arc<Bucket>, meta: ObjectMeta) -> Self {
        let address = Address {
            bucket: bucket.name.clone(),
            key: meta.location.to_string(),
        };
        Self {
            bucket: bucket.clone(),
            url: address.to_string().into(),
            path: meta.location,
            len: meta.size,
            tag: meta.e_tag,
        }
    }

    /// `s3://bucket/key`.
    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn key(&self) -> &str {
        self.path.as_ref()
    }

    /// Number of bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// The bytes of a range that lies inside the object.
    pub fn range(&self, range: Range<u64>) -> io::Result<Vec<u8>> {
        start(self.clone().get(range))?.wait()
    }

    /// The store refuses where the object is no longer the one that was found; where it knows no tags, the length must do.
    async fn get(self, range: Range<u64>) -> io::Result<Vec<u8>> {
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let options = GetOptions {
            if_match: self.tag.clone(),
            range: Some(range.clone().into()),
            ..GetOptions::default()
        };
        let fail = |e: object_store::Error| match e {
            object_store::Error::Precondition { .. } => changed(),
            // It was there when it was found.
            object_store::Error::NotFound { .. } => changed(),
            other => self.bucket.explain(&other),
        };
        let answer = self.bucket.store.get_opts(&self.path, options);
        let answer = answer.await.map_err(fail)?;
        if answer.meta.size != self.len {
            return Err(changed());
        }
        let bytes = answer.bytes().await.map_err(fail)?;
        if bytes.len() as u64 != range.end - range.start {
            return Err(Failure::of(
                io::ErrorKind::UnexpectedEof,
                "the object store sent fewer bytes than it was asked for; run again",
            ));
        }
        Ok(Vec::from(bytes))
    }

    /// The bytes of a range in order, some of them asked for ahead.
    pub fn reader(&self, range: Range<u64>) -> Reader {
        Reader {
            object: self.clone(),
            next: range.start,
            end: range.end.min(self.len),
            size: FIRST,
            ahead: 1,
            pending: VecDeque::new(),
            bytes: Vec::new(),
            at: 0,
        }
    }
}

/// Reads a range in order. Requests grow from a small one, and more of them go out ahead, the more is read.
pub(crate) struct Reader {
    object: Object,
    next: u64,
    end: u64,
    size: u64,
    ahead: usize,
    pending: VecDeque<Pending<Vec<u8>>>,
    bytes: Vec<u8>,
    at: usize,
}

impl Reader {
    fn advance(&mut self) -> io::Result<()> {
        while self.pending.len() < self.ahead && self.next < self.end {
            let to = self.end.min(self.next + self.size);
            let asked = start(self.object.clone().get(self.next..to))?;
            self.pending.push_back(asked);
            self.next = to;
        }
        self.at = 0;
        self.bytes = match self.pending.pop_front() {
            Some(asked) => asked.wait()?,
            None => Vec::new(),
        };
        self.size = MOST.min(2 * self.size);
        self.ahead = AHEAD.min(self.ahead + 1);
        Ok(())
    }
}

impl Read for Reader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.at == self.bytes.len() {
            self.advance()?;
        }
        let n = into.len().min(self.bytes.len() - self.at);
        into[..n].copy_from_slice(&self.bytes[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}

/// Whether this build can reach objects.
#[allow(clippy::unnecessary_wraps)] // the other build cannot
pub(crate) fn available() -> io::Result<()> {
    Ok(())
}

fn object_path(address: &Address) -> io::Result<ObjectPath> {
    ObjectPath::parse(&address.key)
        .map_err(|_| Failure::of(io::ErrorKind::InvalidInput, "this is no key of an object"))
}

/// The object at this address; `None` where there is none in the bucket.
///
/// # Errors
/// There is no such bucket, or it cannot be reached or asked.
pub(crate) fn find(address: &Address) -> io::Result<Option<Object>> {
    let bucket = Bucket::open(&address.bucket)?;
    let path = object_path(address)?;
    let work = async move {
        let head = bucket.store.head(&path).await;
        match head {
            Ok(meta) => Ok(Some(Object::new(&bucket, meta))),
            Err(error) if unanswered(&error) => Err(bucket.explain(&error)),
            // An answer to HEAD has no body, and so no reason: whether the bucket is there, or what is forbidden.
            Err(_) => match bucket.store.get(&path).await {
                Ok(answer) => Ok(Some(Object::new(&bucket, answer.meta))),
                Err(error) => match bucket.explain(&error) {
                    e if e.kind() == io::ErrorKind::NotFound && !Failure::is_bucket(&e) => Ok(None),
                    e => Err(e),
                },
            },
        }
    };
    start(work)?.wait()
}

/// What lies directly in a folder; nothing where there is no such folder.
///
/// # Errors
/// There is no such bucket, or it cannot be reached or listed.
pub(crate) fn folder(address: &Address) -> io::Result<Listing> {
    let bucket = Bucket::open(&address.bucket)?;
    let path = object_path(address)?;
    let work = async move {
        let listed = bucket.store.list_with_delimiter(Some(&path)).await;
        let listed = listed.map_err(|e| bucket.explain(&e))?;
        let objects = listed.objects.into_iter();
        Ok(Listing {
            objects: objects
                // An empty object that stands for the folder itself.
                .filter(|meta| meta.location != path)
                .map(|meta| Object::new(&bucket, meta))
                .collect(),
            folders: listed
                .common_prefixes
                .iter()
                .map(ToString::to_string)
                .collect(),
        })
    };
    start(work)?.wait()
}

/// Puts the content of a file there, whole: an object that is being written is not seen before it is complete.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`] without `replace` where there is one, told by the store itself: of two writers one wins. Else the
/// store refuses or cannot be reached; what was there is then as it was before.
pub(crate) fn put(address: &Address, file: File, replace: bool) -> io::Result<()> {
    let bucket = Bucket::open(&address.bucket)?;
    let path = object_path(address)?;
    let len = file.metadata()?.len();
    if replace && len > AT_ONCE {
        return start(put_parts(bucket, path, file, len))?.wait();
    }
    if len > LARGEST_PUT {
        return Err(Failure::of(
            io::ErrorKind::FileTooLarge,
            "more than 5 GiB can only take the place of an object, not be a new one; allow it to be overwritten",
        ));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(len).unwrap_or_default());
    { file }.read_to_end(&mut bytes)?;
    let mode = if replace {
        PutMode::Overwrite
    } else {
        PutMode::Create
    };
    let work = async move {
        let done = bucket
            .store
            .put_opts(&path, PutPayload::from(bytes), mode.into());
        done.await.map(drop).map_err(|e| bucket.explain(&e))
    };
    start(work)?.wait()
}

/// Removes an object; one that is not there is no error.
///
/// # Errors
/// The store refuses or cannot be reached.
pub(crate) fn remove(address: &Address) -> io::Result<()> {
    let bucket = Bucket::open(&address.bucket)?;
    let path = object_path(address)?;
    let work = async move {
        match bucket
            .store
            .delete(&path)
            .await
            .map_err(|e| bucket.explain(&e))
        {
            Err(e) if e.kind() == io::ErrorKind::NotFound && !Failure::is_bucket(&e) => Ok(()),
            done => done,
        }
    };
    start(work)?.wait()
}

async fn put_parts(
    bucket: Arc<Bucket>,
    path: ObjectPath,
    mut file: File,
    len: u64,
) -> io::Result<()> {
    let fail = |e: object_store::Error| bucket.explain(&e);
    let part = usize::try_from(PART.max(len.div_ceil(9_000))).unwrap_or(usize::MAX);
    let upload = bucket.store.put_multipart(&path).await.map_err(fail)?;
    let mut upload = WriteMultipart::new_with_chunk_size(upload, part);
    let mut piece = vec![0; MOST as usize];
    loop {
        let outcome = match upload.wait_for_capacity(AHEAD).await {
            Ok(()) => file.read(&mut piece),
            Err(e) => Err(fail(e)),
        };
        match outcome {
            Ok(0) => break,
            Ok(n) => upload.write(&piece[..n]),
            Err(e) => {
                // The parts would lie there, and be paid for. If this fails too, the first error is the one that tells.
                let _ = upload.abort().await;
                return Err(e);
            }
        }
    }
    upload.finish().await.map(drop).map_err(fail)
}
