"""What a model's answers, errors and costs lean on, and what moved them: explains, and judges nothing."""
