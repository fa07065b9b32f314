package lucency.app

import android.content.Context
import android.content.res.AssetManager
import android.graphics.Bitmap
import android.graphics.BitmapFactory
import android.net.Uri
import androidx.exifinterface.media.ExifInterface
import java.io.InputStream
import lucency.Film
import lucency.gray
import lucency.rgb
import lucency.upright

/** Pixels as stored: at full size, in 8 bits a channel, not premultiplied, without conversion to the display's colours. */
private fun decode(stream: InputStream): Film {
    val options = BitmapFactory.Options().apply {
        inScaled = false
        inPremultiplied = false
        inPreferredConfig = Bitmap.Config.ARGB_8888
    }
    val bitmap = BitmapFactory.decodeStream(stream, null, options) ?: throw IllegalArgumentException("not a PNG or JPEG")
    val pixels = IntArray(bitmap.width * bitmap.height)
    bitmap.getPixels(pixels, 0, bitmap.width, 0, 0, bitmap.width, bitmap.height)
    return Film(gray(pixels), bitmap.width, bitmap.height, rgb(pixels)).also { bitmap.recycle() }
}

/** A film of the bundle, which has no orientation. */
fun assetFilm(assets: AssetManager, name: String): Film = assets.open(name).use(::decode)

/** A film that a person picked or took, turned as its EXIF says: BitmapFactory leaves that to the app. */
fun openFilm(context: Context, uri: Uri): Film {
    fun stream(): InputStream =
        context.contentResolver.openInputStream(uri) ?: throw IllegalArgumentException("the file is gone")
    val orientation = stream().use {
        ExifInterface(it).getAttributeInt(ExifInterface.TAG_ORIENTATION, ExifInterface.ORIENTATION_NORMAL)
    }
    return upright(stream().use(::decode), orientation)
}

/** A film as a picture. */
fun picture(film: Film): Bitmap {
    fun level(value: Byte) = value.toInt() and 255
    val colour = film.colour
    val pixels = IntArray(film.pixels.size) {
        val shown = if (colour == null) level(film.pixels[it]) * 0x010101
        else (level(colour[3 * it]) shl 16) or (level(colour[3 * it + 1]) shl 8) or level(colour[3 * it + 2])
        shown or (255 shl 24)
    }
    return Bitmap.createBitmap(pixels, film.width, film.height, Bitmap.Config.ARGB_8888)
}
