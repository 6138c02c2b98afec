//! A page, the pointers to it, and what leaves and inner pages have in common: a head array, an offset array, cells.
//!
//! Nothing here panics on any bytes: a page is verified once when it is read, and every later access is checked
//! again by the slice methods it uses, which cost a predicted branch.

use std::cmp::Ordering;

/// Bytes of a page.
pub(crate) const PAGE: usize = 4096;
/// The pages of the superblock slots: far enough from each other that no unit of a device holds both.
pub(crate) const SLOT_PAGES: [u64; 2] = [0, 16];
/// The first page that a tree may use.
pub(crate) const FIRST_PAGE: u64 = 17;
/// One more than the largest page number and generation a pointer can hold.
pub(crate) const U48_END: u64 = 1 << 48;
/// Bytes of an encoded pointer.
pub(crate) const POINTER: usize = 16;
/// Levels a tree may have.
pub(crate) const HEIGHT_MAX: u8 = 32;

const KIND_LEAF: u8 = 1;
const KIND_INNER: u8 = 2;
/// Where the head array of a leaf begins.
const LEAF_HEADS: usize = 32;
/// Where the head array of an inner page begins, behind its first child.
const INNER_HEADS: usize = 48;
/// Bytes a key costs besides its cell: head and offset.
pub(crate) const SLOT: usize = 6;

/// The bytes of one page.
#[derive(Clone)]
#[repr(transparent)]
pub(crate) struct Page(pub(crate) [u8; PAGE]);

impl Page {
    pub(crate) const fn zeroed() -> Self {
        Self([0; PAGE])
    }

    #[inline]
    pub(crate) fn bytes(&self, at: usize, len: usize) -> &[u8] {
        self.0.get(at..at + len).unwrap_or_default()
    }

    #[inline]
    fn array<const N: usize>(&self, at: usize) -> [u8; N] {
        self.0.get(at..).and_then(|rest| rest.first_chunk::<N>()).copied().unwrap_or([0; N])
    }

    #[inline]
    pub(crate) fn u16_at(&self, at: usize) -> usize {
        usize::from(u16::from_le_bytes(self.array(at)))
    }

    #[inline]
    fn u32_at(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.array(at))
    }

    #[inline]
    pub(crate) fn u48_at(&self, at: usize) -> u64 {
        // Two more bytes than needed are read where there are any: pages and generations never end a page.
        u64::from_le_bytes(self.array(at)) & (U48_END - 1)
    }

    #[inline]
    pub(crate) fn put(&mut self, at: usize, data: &[u8]) {
        if let Some(place) = self.0.get_mut(at..at + data.len()) {
            place.copy_from_slice(data);
        }
    }

    pub(crate) fn put_u16(&mut self, at: usize, value: usize) {
        self.put(at, &(value as u16).to_le_bytes());
    }

    #[inline]
    pub(crate) fn is_leaf(&self) -> bool {
        self.0[0] == KIND_LEAF
    }

    pub(crate) fn set_kind(&mut self, level: u8) {
        self.0[0] = if level == 0 { KIND_LEAF } else { KIND_INNER };
        self.0[1] = level;
    }

    /// Whether kind and level say that this is a page of `level`.
    #[inline]
    pub(crate) fn is_of_level(&self, level: u8) -> bool {
        self.0[0] == if level == 0 { KIND_LEAF } else { KIND_INNER } && self.0[1] == level
    }

    pub(crate) fn number(&self) -> u64 {
        self.u48_at(8)
    }

    #[inline]
    pub(crate) fn generation(&self) -> u64 {
        self.u48_at(14)
    }

    /// The first bytes of the identity of the index it belongs to.
    pub(crate) fn identity(&self) -> &[u8] {
        self.bytes(20, 8)
    }

    /// Writes number, generation and whose it is.
    pub(crate) fn set_place(&mut self, number: u64, generation: u64, identity: [u8; 16]) {
        self.put(20, &identity[..8]);
        self.put(8, &number.to_le_bytes()[..6]);
        self.put(14, &generation.to_le_bytes()[..6]);
    }
}

/// Where a page is, which writing of it is meant, and what its bytes add up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Pointer {
    pub(crate) page: u64,
    pub(crate) generation: u64,
    pub(crate) crc: u32,
}

impl Pointer {
    pub(crate) fn encode(self) -> [u8; POINTER] {
        let mut out = [0; POINTER];
        out[..6].copy_from_slice(&self.page.to_le_bytes()[..6]);
        out[6..12].copy_from_slice(&self.generation.to_le_bytes()[..6]);
        out[12..].copy_from_slice(&self.crc.to_le_bytes());
        out
    }

    pub(crate) fn decode(bytes: [u8; POINTER]) -> Self {
        let whole = u128::from_le_bytes(bytes);
        Self {
            page: (whole as u64) & (U48_END - 1),
            generation: ((whole >> 48) as u64) & (U48_END - 1),
            crc: (whole >> 96) as u32,
        }
    }
}

/// What pointers of one state may say at most.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) page_count: u64,
    pub(crate) generation: u64,
}

impl Bounds {
    /// Whether a thing of `pages` pages from `page` on, written by `generation`, can belong to the state.
    pub(crate) fn admit(self, page: u64, pages: u64, generation: u64) -> bool {
        page >= FIRST_PAGE
            && page + pages <= self.page_count
            && generation <= self.generation
            && generation > 0
    }
}

/// The first four bytes of a suffix as a number that compares as they do.
#[inline]
pub(crate) fn head_of(suffix: &[u8]) -> u32 {
    if let Some(four) = suffix.first_chunk::<4>() {
        return u32::from_be_bytes(*four);
    }
    let mut four = [0; 4];
    four[..suffix.len()].copy_from_slice(suffix);
    u32::from_be_bytes(four)
}

/// What follows the head.
#[inline]
pub(crate) fn tail_of(suffix: &[u8]) -> &[u8] {
    suffix.get(4..).unwrap_or_default()
}

/// How many bytes two keys begin with in common.
pub(crate) fn common(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(x, y)| x == y).count()
}

/// The sorted keys of a page, `INNER` or leaf.
#[derive(Clone, Copy)]
pub(crate) struct Keys<'a, const INNER: bool> {
    pub(crate) page: &'a Page,
    pub(crate) count: usize,
}

impl<'a, const INNER: bool> Keys<'a, INNER> {
    pub(crate) const HEADS: usize = if INNER { INNER_HEADS } else { LEAF_HEADS };
    /// Bytes of a cell before the tail: for a leaf two lengths; for an inner page child and length.
    pub(crate) const FIXED: usize = if INNER { POINTER + 2 } else { 4 };
    const LEN_AT: usize = if INNER { POINTER } else { 0 };

    #[inline]
    pub(crate) fn new(page: &'a Page) -> Self {
        Self { page, count: page.u16_at(2) }
    }

    #[inline]
    pub(crate) fn prefix(&self) -> &'a [u8] {
        let len = self.page.u16_at(6);
        self.page.bytes(PAGE.saturating_sub(len), len)
    }

    #[inline]
    fn heads(&self) -> &'a [[u8; 4]] {
        self.page.bytes(Self::HEADS, 4 * self.count).as_chunks::<4>().0
    }

    #[inline]
    pub(crate) fn head(&self, index: usize) -> u32 {
        self.page.u32_at(Self::HEADS + 4 * index)
    }

    /// Where the cell begins.
    #[inline]
    pub(crate) fn cell(&self, index: usize) -> usize {
        self.page.u16_at(Self::HEADS + 4 * self.count + 2 * index)
    }

    #[inline]
    pub(crate) fn suffix_len(&self, cell: usize) -> usize {
        self.page.u16_at(cell + Self::LEN_AT)
    }

    #[inline]
    fn compare_tail(&self, index: usize, tail: &[u8], suffix_len: usize) -> Ordering {
        let cell = self.cell(index);
        let own_len = self.suffix_len(cell);
        let own = self.page.bytes(cell + Self::FIXED, own_len.saturating_sub(4));
        own.cmp(tail).then(own_len.cmp(&suffix_len))
    }

    /// The index of `key`, or where it would have to be inserted.
    #[inline]
    pub(crate) fn find(&self, key: &[u8]) -> Result<usize, usize> {
        let prefix = self.prefix();
        let Some(suffix) = key.strip_prefix(prefix) else {
            return Err(if key < prefix { 0 } else { self.count });
        };
        let head = head_of(suffix);
        let heads = self.heads();
        // A count instead of a bisection: no branch to mispredict, eight heads a vector, and the whole array is two
        // or three cache lines that the prefetcher fetches together.
        let mut low =
            heads.iter().fold(0_u32, |sum, own| sum.wrapping_add(u32::from(u32::from_le_bytes(*own) < head)))
                as usize;
        let equal = heads
            .get(low..)
            .unwrap_or_default()
            .iter()
            .take_while(|own| u32::from_le_bytes(**own) == head)
            .count();
        let mut high = low + equal;
        let tail = tail_of(suffix);
        while low < high {
            let middle = usize::midpoint(low, high);
            match self.compare_tail(middle, tail, suffix.len()) {
                Ordering::Less => low = middle + 1,
                Ordering::Equal => return Ok(middle),
                Ordering::Greater => high = middle,
            }
        }
        Err(low)
    }

    /// Appends key `index` to `out`.
    #[inline]
    pub(crate) fn push_key(&self, index: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(self.prefix());
        self.push_suffix(index, out);
    }

    /// Appends key `index` without the prefix to `out`.
    #[inline]
    pub(crate) fn push_suffix(&self, index: usize, out: &mut Vec<u8>) {
        let cell = self.cell(index);
        let len = self.suffix_len(cell);
        let head = self.head(index).to_be_bytes();
        if len > 4 {
            out.extend_from_slice(&head);
            out.extend_from_slice(self.page.bytes(cell + Self::FIXED, len - 4));
        } else {
            out.extend_from_slice(head.get(..len).unwrap_or_default());
        }
    }

    /// Key `index`, whole, at the beginning of `out`; `None` where it is longer.
    #[inline]
    pub(crate) fn write_key<'k>(&self, index: usize, out: &'k mut [u8]) -> Option<&'k [u8]> {
        let (prefix, cell) = (self.prefix(), self.cell(index));
        let suffix_len = self.suffix_len(cell);
        let head = self.head(index).to_be_bytes();
        let (head, tail) = (head.get(..suffix_len.min(4))?, suffix_len.saturating_sub(4));
        let len = prefix.len() + suffix_len;
        let (front, rest) = out.get_mut(..len)?.split_at_mut_checked(prefix.len())?;
        let (middle, back) = rest.split_at_mut_checked(head.len())?;
        front.copy_from_slice(prefix);
        middle.copy_from_slice(head);
        back.copy_from_slice(self.page.bytes(cell + Self::FIXED, tail));
        out.get(..len)
    }

    /// Bytes of the page that are in use.
    pub(crate) fn used(&self) -> usize {
        Self::HEADS + SLOT * self.count + PAGE.saturating_sub(self.page.u16_at(4))
    }

    /// Checks everything that leaves and inner pages have in common. `load` gives the bytes of a cell behind the
    /// tail, or says what is wrong with it.
    pub(crate) fn verify(
        &self,
        mut load: impl FnMut(usize) -> Result<usize, &'static str>,
    ) -> Result<(), &'static str> {
        let heap = self.page.u16_at(4);
        let prefix_len = self.page.u16_at(6);
        if heap > PAGE || prefix_len > super::KEY_LEN_MAX || prefix_len > PAGE - heap {
            return Err("heap or prefix outside the page");
        }
        let cells_end = PAGE - prefix_len;
        if Self::HEADS + SLOT * self.count > heap {
            return Err("more keys than fit");
        }
        // Cells tile the heap exactly if starts are distinct and every start is the heap's begin or another's end.
        let (mut starts, mut ends) = ([0_u64; PAGE / 64 + 1], [0_u64; PAGE / 64 + 1]);
        mark(&mut ends, heap);
        mark(&mut starts, cells_end);
        if self.count == 0 && heap != cells_end {
            return Err("bytes in the heap that no cell owns");
        }
        let mut before: Option<(u32, &[u8], usize)> = None;
        for index in 0..self.count {
            let cell = self.cell(index);
            if cell < heap || cell + Self::FIXED > cells_end {
                return Err("a cell outside the heap");
            }
            let suffix_len = self.suffix_len(cell);
            if prefix_len + suffix_len > super::KEY_LEN_MAX {
                return Err("a key that is too long");
            }
            let tail_len = suffix_len.saturating_sub(4);
            let end = cell + Self::FIXED + tail_len + load(cell)?;
            if end > cells_end {
                return Err("a cell that ends outside the heap");
            }
            if !mark(&mut starts, cell) || !mark(&mut ends, end) {
                return Err("cells overlap");
            }
            let head = self.head(index);
            if suffix_len < 4 && head << (8 * suffix_len) != 0 {
                return Err("a head longer than its key");
            }
            let key = (head, self.page.bytes(cell + Self::FIXED, tail_len), suffix_len);
            if before.is_some_and(|before| before >= key) {
                return Err("keys out of order");
            }
            before = Some(key);
        }
        if starts == ends { Ok(()) } else { Err("gaps between cells") }
    }
}

/// Sets a bit; says whether it was clear.
fn mark(bits: &mut [u64; PAGE / 64 + 1], at: usize) -> bool {
    let bit = 1 << (at % 64);
    bits.get_mut(at / 64).is_some_and(|word| {
        let fresh = *word & bit == 0;
        *word |= bit;
        fresh
    })
}

/// Changes one page in place. `INNER` or leaf as for [`Keys`].
pub(crate) struct Edit<'a, const INNER: bool>(pub(crate) &'a mut Page);

impl<const INNER: bool> Edit<'_, INNER> {
    const HEADS: usize = Keys::<'static, INNER>::HEADS;
    const FIXED: usize = Keys::<'static, INNER>::FIXED;

    /// Makes it an empty page with this prefix.
    pub(crate) fn clear(&mut self, level: u8, prefix: &[u8]) {
        self.0.0.fill(0);
        self.0.set_kind(level);
        let heap = PAGE - prefix.len();
        self.0.put_u16(4, heap);
        self.0.put_u16(6, prefix.len());
        self.0.put(heap, prefix);
    }

    /// Makes room for the slots of `count` keys in a page that was cleared; each is then placed once.
    pub(crate) fn reserve(&mut self, count: usize) {
        self.0.put_u16(2, count);
    }

    /// Writes the slot of key `index` of those reserved; answers where its cell of `cell_len` bytes begins. Whoever
    /// makes a page knows that all of it fits.
    pub(crate) fn place(&mut self, index: usize, head: u32, cell_len: usize) -> usize {
        let count = self.0.u16_at(2);
        let heap = self.0.u16_at(4);
        assert!(Self::HEADS + SLOT * count + cell_len <= heap, "a page was cut too large");
        let cell = heap - cell_len;
        self.0.put(Self::HEADS + 4 * index, &head.to_le_bytes());
        self.0.put_u16(Self::HEADS + 4 * count + 2 * index, cell);
        self.0.put_u16(4, cell);
        cell
    }

    /// Opens a hole for a new cell at `index`, and writes its slot; answers where the cell begins, or `None` where
    /// the page is too full.
    pub(crate) fn open(&mut self, index: usize, head: u32, cell_len: usize) -> Option<usize> {
        let count = self.0.u16_at(2);
        let heap = self.0.u16_at(4);
        let slots_end = Self::HEADS + SLOT * count;
        if index > count || heap > PAGE || slots_end + SLOT + cell_len > heap {
            return None;
        }
        let cell = heap - cell_len;
        let offset_at = Self::HEADS + 4 * count + 2 * index;
        let head_at = Self::HEADS + 4 * index;
        // From the back to the front: offsets behind the new one move by a whole slot, those before it and the heads
        // behind the new head by one head.
        self.0.0.copy_within(offset_at..slots_end, offset_at + SLOT);
        self.0.0.copy_within(head_at..offset_at, head_at + 4);
        self.0.put(head_at, &head.to_le_bytes());
        self.0.put_u16(offset_at + 4, cell);
        self.0.put_u16(2, count + 1);
        self.0.put_u16(4, cell);
        Some(cell)
    }

    /// Takes out the cell at `index`, whose load (what follows its tail) has `load` bytes.
    pub(crate) fn remove(&mut self, index: usize, load: usize) {
        let keys = Keys::<INNER>::new(self.0);
        let count = keys.count;
        if index >= count {
            return;
        }
        let cell = keys.cell(index);
        let cell_len = Self::FIXED + keys.suffix_len(cell).saturating_sub(4) + load;
        let heap = self.0.u16_at(4);
        if cell < heap || cell + cell_len > PAGE || Self::HEADS + SLOT * count > heap {
            return;
        }
        self.0.0.copy_within(heap..cell, heap + cell_len);
        self.0.0[heap..heap + cell_len].fill(0);
        let offsets_at = Self::HEADS + 4 * count;
        for other in 0..count {
            let at = offsets_at + 2 * other;
            let offset = self.0.u16_at(at);
            if offset < cell {
                self.0.put_u16(at, offset + cell_len);
            }
        }
        let head_at = Self::HEADS + 4 * index;
        let offset_at = offsets_at + 2 * index;
        let slots_end = Self::HEADS + SLOT * count;
        self.0.0.copy_within(head_at + 4..offset_at, head_at);
        self.0.0.copy_within(offset_at + 2..slots_end, offset_at - 4);
        self.0.0[slots_end - SLOT..slots_end].fill(0);
        self.0.put_u16(2, count - 1);
        self.0.put_u16(4, heap + cell_len);
    }
}
