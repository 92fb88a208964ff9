//! Where ranks meet, and which run they are of: from `MASTER_ADDR` and `MASTER_PORT`, else from what Slurm says.

use super::RendezvousError;

/// Ports that are taken by number, below those that systems hand out by themselves.
const PORTS: std::ops::Range<u16> = 15_000..31_000;

/// Where rank 0 listens, and the run that is met there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Name or number of rank 0's host.
    pub host: String,
    /// The TCP port of rank 0.
    pub port: u16,
    /// A number that processes of one run share, and those of an older or other run do not.
    pub run: u64,
}

impl Address {
    /// Where `world` processes with this environment meet.
    ///
    /// `MASTER_ADDR` and `MASTER_PORT` say it as they do for PyTorch. Without them it is the first node of the Slurm step,
    /// at a port that follows from job and step.
    ///
    /// # Errors
    /// Neither is there, or a port that is none.
    pub fn of(env: impl Fn(&str) -> Option<String>, world: usize) -> Result<Self, RendezvousError> {
        let text = |name: &str| env(name).filter(|text| !text.is_empty());
        let first_node = || text("SLURM_STEP_NODELIST").and_then(|list| first_of(&list));
        let host = text("MASTER_ADDR").or_else(first_node).or_else(|| text("SLURM_LAUNCH_NODE_IPADDR"));
        let host = host.ok_or(RendezvousError::NoAddress { world })?;
        let run = hash(&STARTS.map(|name| text(name).unwrap_or_default()).join("."));
        let port = match text("MASTER_PORT") {
            Some(found) => found.parse().ok().filter(|port| *port > 0).ok_or(RendezvousError::Port { found })?,
            None if text("SLURM_JOB_ID").is_some() => PORTS.start + (run % PORTS.len() as u64) as u16,
            None => return Err(RendezvousError::NoAddress { world }),
        };
        Ok(Self { host, port, run })
    }
}

/// Variables that tell one start of some processes from another.
const STARTS: [&str; 4] = ["SLURM_JOB_ID", "SLURM_STEP_ID", "SLURM_RESTART_COUNT", "TORCHELASTIC_RUN_ID"];
/// Names a meeting by a note; with [`STARTS`], where they are, it is another one for each start.
const MEETING: &str = "REDDINO_MEETING";

impl Address {
    /// The name of the note by which processes with this environment meet: where the user asks for it by `REDDINO_MEETING`, or
    /// where the batch system tells one start from another.
    pub fn note(env: impl Fn(&str) -> Option<String>) -> Option<Note> {
        let text = |name: &str| env(name).filter(|text| !text.is_empty());
        let asked = text(MEETING);
        let all = STARTS.iter().map(|name| text(name)).chain([asked.clone(), text("TORCHELASTIC_RESTART_COUNT")]);
        let all: Vec<String> = all.map(Option::unwrap_or_default).collect();
        let known = asked.is_some() || text("SLURM_JOB_ID").is_some();
        known.then(|| Note { name: format!("{:016x}", hash(&all.join("."))), asked: asked.is_some() })
    }
}

/// A note by which ranks can meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Name of the note: a digest of what names this start, the same for all its ranks.
    pub name: String,
    /// Whether the user asked for it, so that it goes before an address.
    pub asked: bool,
}

/// The first host of a Slurm list, such as `gpu[07-09,12],big1`.
fn first_of(list: &str) -> Option<String> {
    let end = list.find([',', '[']).unwrap_or(list.len());
    let (name, rest) = list.split_at(end);
    let Some(numbers) = rest.strip_prefix('[') else { return Some(name.to_owned()).filter(|name| !name.is_empty()) };
    let (inside, after) = numbers.split_once(']')?;
    let first = inside.split([',', '-']).next()?;
    // More may follow the bracket: `rack[1-2]-node[1-4]` or a domain.
    let more = after.split(',').next().unwrap_or_default();
    let more = if more.is_empty() { String::new() } else { first_of(more)? };
    Some(format!("{name}{first}{more}"))
}

/// FNV-1a: the same number in every process, which the standard hasher does not promise.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(variables: &[(&str, &str)]) -> Result<Address, RendezvousError> {
        Address::of(|name| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned()), 2)
    }

    #[test]
    fn the_first_node_of_a_list_is_read_as_slurm_writes_it() {
        let first = |list: &str| first_of(list).unwrap_or_default();
        assert_eq!(first("gpu1"), "gpu1");
        assert_eq!(first("gpu1,gpu2"), "gpu1");
        assert_eq!(first("gpu[07-09,12],big1"), "gpu07");
        assert_eq!(first("rack[3,5]-node[01-04],x"), "rack3-node01");
        assert_eq!(first_of(""), None);
    }

    #[test]
    fn slurm_alone_is_enough_and_a_requeued_job_is_another_run() {
        let step = [("SLURM_STEP_NODELIST", "n[4-5]"), ("SLURM_JOB_ID", "812"), ("SLURM_STEP_ID", "0")];
        let first = address(&step).unwrap();
        assert_eq!(first.host, "n4");
        assert!(PORTS.contains(&first.port));
        assert_eq!(address(&step).unwrap(), first, "every process finds the same");
        let again = address(&[&step[..], &[("SLURM_RESTART_COUNT", "1")]].concat()).unwrap();
        assert_ne!(again.run, first.run);
    }

    #[test]
    fn what_the_user_sets_goes_first() {
        let set = [("MASTER_ADDR", "10.0.0.7"), ("MASTER_PORT", "29500"), ("SLURM_STEP_NODELIST", "n4")];
        let found = address(&set).unwrap();
        assert_eq!((found.host.as_str(), found.port), ("10.0.0.7", 29500));
    }

    #[test]
    fn a_note_has_another_name_for_each_start_and_needs_something_that_tells_them_apart() {
        let note = |variables: &[(&str, &str)]| {
            Address::note(|name| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned()))
        };
        assert_eq!(note(&[("RANK", "1")]), None);
        let (first, again) = (note(&[("REDDINO_MEETING", "a")]).unwrap(), note(&[("REDDINO_MEETING", "b")]).unwrap());
        assert!(first.asked && first.name != again.name && first.name.len() == 16, "{first:?}");
        let step = |step| note(&[("SLURM_JOB_ID", "812"), ("SLURM_STEP_ID", step)]).unwrap();
        assert!(!step("0").asked && step("0") == step("0") && step("0") != step("1"));
    }

    #[test]
    fn a_missing_or_wrong_address_is_a_sentence_with_a_remedy() {
        assert!(address(&[]).unwrap_err().to_string().contains("set MASTER_ADDR and MASTER_PORT"));
        let wrong = address(&[("MASTER_ADDR", "a"), ("MASTER_PORT", "http")]).unwrap_err().to_string();
        assert!(wrong.contains("`http`"), "{wrong}");
    }
}
