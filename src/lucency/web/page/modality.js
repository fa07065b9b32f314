// Made by lucency.web.modality_module: rows of lucency.modality, and the kind that this page reads.
export const MODALITIES = {
  chest_xray: {"channels": 1, "lungs": true, "sight": null, "dicom": "CR DR DX OT RG SC XR"},
  ct_slice: {"channels": 1, "lungs": false, "sight": "lung_slice", "dicom": "CT OT SC"},
  mri_slice: {"channels": 1, "lungs": false, "sight": "head_slice", "dicom": "MR OT SC"},
  slice: {"channels": 1, "lungs": false, "sight": null, "dicom": "CT MR OT SC"},
  fundus: {"channels": 3, "lungs": false, "sight": "round_field", "dicom": "OP OT SC XC"},
  skin: {"channels": 3, "lungs": false, "sight": "lesion", "dicom": "DMS ES GM OT SC XC"},
  photograph: {"channels": 3, "lungs": false, "sight": null, "dicom": "DMS ES GM OP OT SC SM XC"},
};
export const KIND = "chest_xray";
