//! What manifests say of the values in a file.

/// Bounds of one column in one file, as the manifest has them (the spec's single-value serialisation).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldBounds {
    /// Lower bound; absent when not recorded.
    pub lower: Option<Vec<u8>>,
    /// Upper bound; absent when not recorded.
    pub upper: Option<Vec<u8>>,
    /// Number of nulls; absent when not recorded.
    pub nulls: Option<u64>,
    /// Number of values including nulls; absent when not recorded.
    pub values: Option<u64>,
}

/// Bounds of some columns of a file, by field id. Of a table's million files each has one or two: a map would take a
/// kilobyte for every file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileBounds(Box<[(i32, FieldBounds)]>);

impl FileBounds {
    /// Those of a field, if they were asked for.
    pub fn get(&self, id: &i32) -> Option<&FieldBounds> {
        self.0.iter().find(|(field, _)| field == id).map(|(_, bounds)| bounds)
    }

    /// Sets those of a field.
    pub fn insert(&mut self, id: i32, bounds: FieldBounds) {
        let others = std::mem::take(&mut self.0).into_vec().into_iter().filter(|(field, _)| *field != id);
        self.0 = others.chain([(id, bounds)]).collect();
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

impl FromIterator<(i32, FieldBounds)> for FileBounds {
    fn from_iter<I: IntoIterator<Item = (i32, FieldBounds)>>(bounds: I) -> Self {
        Self(bounds.into_iter().collect())
    }
}
