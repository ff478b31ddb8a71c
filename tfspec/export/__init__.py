"""SavedModels for TF Serving and files for LiteRT.

Imports `layers`, `contract` and what is above them. Start at `saved_model`;
`sources` is what can be exported, `signatures` what a server runs.
"""
