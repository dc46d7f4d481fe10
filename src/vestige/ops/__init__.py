"""What users do: each module a verb, a function first."""
