"""The sheet that pages of HTML share, and how they are written."""
