"""A recorded run in other forms: Markdown, one HTML file, JSON, and messages of the model APIs."""
