//! Released weights that a sweep file names under `baselines`, to be scored beside its arms.

use anyhow::Result;
use run_spec::layer;
use run_spec::typed;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::{SweepFile, arms};

/// Names of features that are made otherwise.
const TAKEN: [&str; 4] = ["teacher", "random", "histogram", "shape"];
/// Names of layouts, as `worker probe --layout` has them.
pub(super) const LAYOUTS: [&str; 5] = ["dinov2", "teacher", "timm", "huggingface", "resnet50"];

/// Weights that others have trained.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReleasedModel {
    /// Name in tables and in the column `features` of rows.
    pub(crate) name: String,
    /// URI of the file (safetensors or .pth); a path is relative to the working folder.
    pub(crate) weights: String,
    /// Layout that the file must have; default: recognised from the names of its tensors.
    #[schemars(schema_with = "super::schema::layout")]
    pub(crate) layout: Option<String>,
    /// Side in pixels to which images are resized; default: 224.
    pub(crate) size: Option<u64>,
    /// Train config of the model, relative to the sweep file; needed only if its attention heads are not 64 wide.
    pub(crate) config: Option<String>,
}

impl SweepFile {
    /// The released models, in the order of the file.
    pub(crate) fn released(&self) -> Result<Vec<ReleasedModel>> {
        let mut models: Vec<ReleasedModel> = Vec::new();
        for (i, entry) in self.baselines.iter().enumerate() {
            let place = format!("baselines[{i}]");
            let known = json!({"name": "", "weights": "", "layout": null, "size": null, "config": null});
            let model =
                layer::layer(&known, entry.clone(), "").and_then(|filled| typed::read::<ReleasedModel>(&filled, ""));
            let model = model.map_err(|error| error.below(&place).at(&self.places))?;
            self.verify_released(&place, &model)?;
            if models.iter().any(|other| other.name == model.name) {
                let message = format!("two baselines are called `{}`: rename one", model.name);
                return Err(self.refused(&format!("{place}.name"), message));
            }
            models.push(model);
        }
        Ok(models)
    }

    fn verify_released(&self, place: &str, model: &ReleasedModel) -> Result<()> {
        let at = |key: &str| format!("{place}.{key}");
        self.demand(arms::checked_name(&model.name), &at("name"))?;
        if TAKEN.contains(&model.name.as_str()) {
            let message = format!("`{}` are other features: choose another name", model.name);
            return Err(self.refused(&at("name"), message));
        }
        if model.weights.is_empty() {
            return Err(self.refused(&at("weights"), "it is missing: give the URI of a file of weights"));
        }
        if let Some(layout) = model.layout.as_deref().filter(|layout| !LAYOUTS.contains(layout)) {
            let message = format!("one of {} is expected, not {layout:?}", LAYOUTS.join(", "));
            return Err(self.refused(&at("layout"), message));
        }
        Ok(())
    }
}
