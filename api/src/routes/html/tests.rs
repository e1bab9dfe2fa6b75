use super::*;

#[test]
fn text_cannot_become_markup() {
    let hostile = "<script>alert('\"&')</script>";
    let escaped = "&lt;script&gt;alert(&#39;&quot;&amp;&#39;)&lt;/script&gt;";
    assert_eq!(Text(hostile).to_string(), escaped);
    assert_eq!(Marked(hostile).to_string(), escaped);
}

#[test]
fn backticks_mark_code() {
    assert_eq!(Marked("run `a < b` now").to_string(), "run <code>a &lt; b</code> now");
}
