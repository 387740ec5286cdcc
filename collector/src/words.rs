//! Words of verdicts, each kept once: a fleet says the same few sentences a million times.

use std::collections::HashMap;
use std::sync::Arc;

/// The words of a verdict that is not ready.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Words {
    /// What was seen, or which evidence is missing, or why the check does not apply.
    pub seen: String,
    /// What is needed, or why the evidence is missing.
    pub needed: String,
    /// What to do.
    pub remedy: String,
}

/// Number of kept words; 0 is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct WordsNo(u32);

/// Keeps words by number, and counts who uses them.
#[derive(Debug, Default)]
pub(crate) struct WordsPool {
    numbers: HashMap<Arc<Words>, u32>,
    slots: Vec<Option<(Arc<Words>, u32)>>,
    free: Vec<u32>,
}

impl WordsPool {
    /// Takes words for one more user.
    pub(crate) fn take(&mut self, words: Words) -> WordsNo {
        if words == Words::default() {
            return WordsNo(0);
        }
        if let Some(&number) = self.numbers.get(&words) {
            if let Some(Some((_, users))) = self.slots.get_mut(number as usize) {
                *users += 1;
            }
            return WordsNo(number + 1);
        }
        let words = Arc::new(words);
        let number = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            // 2^32 different sentences at least 24 bytes long do not fit into memory before this overflows.
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX - 1)
        });
        self.numbers.insert(Arc::clone(&words), number);
        self.slots[number as usize] = Some((words, 1));
        WordsNo(number + 1)
    }

    /// Gives words back; forgets them with their last user.
    pub(crate) fn give_back(&mut self, number: WordsNo) {
        let Some(number) = number.0.checked_sub(1) else { return };
        let Some(slot) = self.slots.get_mut(number as usize) else { return };
        let Some((words, users)) = slot else { return };
        *users -= 1;
        if *users == 0 {
            self.numbers.remove(words.as_ref());
            *slot = None;
            self.free.push(number);
        }
    }

    /// The words of a number.
    pub(crate) fn get(&self, number: WordsNo) -> Option<&Arc<Words>> {
        let slot = self.slots.get(number.0.checked_sub(1)? as usize)?;
        slot.as_ref().map(|(words, _)| words)
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.numbers.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_kept_once_and_forgotten_with_their_last_user() {
        let say = |text: &str| Words { seen: text.to_owned(), ..Words::default() };
        let mut pool = WordsPool::default();
        let (first, second, other) = (pool.take(say("a")), pool.take(say("a")), pool.take(say("b")));
        assert_eq!((first, pool.len()), (second, 2));
        assert_eq!(pool.get(other).unwrap().seen, "b");
        assert_eq!(pool.take(Words::default()), WordsNo::default());
        pool.give_back(first);
        assert_eq!(pool.get(second).unwrap().seen, "a");
        pool.give_back(second);
        assert_eq!((pool.get(second), pool.len()), (None, 1));
        let third = pool.take(say("c"));
        assert_eq!((third, pool.get(third).unwrap().seen.as_str()), (first, "c"), "the slot is used again");
    }
}
