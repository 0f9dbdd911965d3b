"""What a page says, in the order it says it, and its forms: HTML, Markdown, CSV, LaTeX."""
